"""What `auto` stands for on machines that are told, and torch's switches on this one."""

import os
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from imageclf import InputError
from imageclf.training.parts.accelerator import (
    Device,
    check_accelerator,
    choose,
    kind_of,
    precision_of,
    read_device,
    settle,
)

H100 = Device("cuda", "NVIDIA H100", has_bf16=True)
T4 = Device("cuda", "Tesla T4", has_bf16=False)
MAC = Device("mps", "Apple M3", has_bf16=False)
CPU = Device("cpu", "Box", has_bf16=False)


@pytest.mark.parametrize(
    ("accelerator", "gpus", "mps", "kind"),
    [
        ("auto", 0, False, "cpu"),
        ("auto", 1, False, "cuda"),
        ("auto", 8, False, "cuda"),
        ("auto", 0, True, "mps"),
        ("gpu", 2, False, "cuda"),
        ("gpu", 0, True, "mps"),
        ("cuda", 1, True, "cuda"),
        ("mps", 0, True, "mps"),
        ("cpu", 8, True, "cpu"),
    ],
)
def test_the_best_that_is_there_and_asked_for_is_taken(accelerator, gpus, mps, kind):
    assert kind_of(accelerator, gpus, mps) == kind


@pytest.mark.parametrize(("accelerator", "mps"), [("gpu", False), ("cuda", True), ("mps", False)])
@pytest.mark.fault("Configs and secrets", "A GPU is asked for and there is none", "It is said in a sentence")
def test_a_gpu_that_is_not_there_is_said_in_a_sentence(accelerator, mps):
    with pytest.raises(
        InputError, match=rf"^trainer\.accelerator={accelerator}: .* trainer=auto or trainer=cpu"
    ):
        kind_of(accelerator, 0, mps)


@pytest.mark.parametrize(
    ("device", "precision"), [(H100, "bf16-mixed"), (T4, "16-mixed"), (MAC, "32-true"), (CPU, "32-true")]
)
def test_the_precision_is_the_fastest_that_the_device_multiplies_in_hardware(device, precision):
    assert choose({"precision": "auto"}, device).precision == precision


@pytest.mark.parametrize("device", [H100, T4, MAC, CPU])
@pytest.mark.parametrize(
    ("given", "meant"),
    [(32, "32-true"), ("32", "32-true"), ("32-true", "32-true"), (None, "32-true"), ("bf16", "bf16-mixed")],
)
def test_a_precision_that_is_given_holds_on_every_device(device, given, meant):
    assert choose({"precision": given}, device).precision == meant


@pytest.mark.parametrize("given", ["16", 16, "16-mixed"])
def test_half_precision_is_for_gpus(given):
    assert choose({"precision": given}, T4).precision == "16-mixed"
    with pytest.raises(InputError, match=rf"^trainer\.precision={given}: a CPU does not train in float16"):
        choose({"precision": given}, CPU)


@pytest.mark.parametrize(
    "given",
    ["bf16-true", "16-true", "64-true", 64, "64", "transformer-engine", "transformer-engine-float16", 7],
)
def test_a_precision_in_which_nothing_is_tested_is_refused_with_those_that_are(given):
    with pytest.raises(InputError) as refused:
        precision_of({"precision": given})
    legal = "give auto, 32-true (or 32), 16-mixed (16) or bf16-mixed (bf16)"
    assert str(refused.value) == f"trainer.precision={given}: {legal}"


@pytest.mark.parametrize(
    ("device", "given", "exact", "benchmark", "matmul"),
    [
        (CPU, "auto", "warn", False, "highest"),
        (MAC, "auto", False, False, "highest"),
        (H100, "auto", False, False, "high"),
        (H100, False, False, False, "high"),
        (H100, True, True, False, "highest"),
        (H100, "warn", "warn", False, "highest"),
        (CPU, True, True, False, "highest"),
        (CPU, False, False, False, "highest"),
    ],
)
def test_a_gpu_is_fast_unless_it_is_to_be_deterministic(device, given, exact, benchmark, matmul):
    choice = choose({"deterministic": given}, device)
    assert (choice.deterministic, choice.benchmark, choice.matmul) == (exact, benchmark, matmul)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("exact", ["auto", True])
@pytest.mark.parametrize("device", [H100, CPU])
def test_the_users_benchmark_wins(device, exact, given):
    assert choose({"deterministic": exact, "benchmark": given}, device).benchmark is given


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({"accelerator": "tpu"}, "trainer.accelerator=tpu: give one of auto, cpu, gpu, cuda, mps"),
        ({"deterministic": "yes"}, "trainer.deterministic=yes: give one of auto, true, false, warn"),
        ({"precision": "16-true"}, "trainer.precision=16-true: give auto"),
        ({"precision": "16-mixed", "accelerator": "cpu"}, "trainer.precision=16-mixed: a CPU does not"),
        *(
            ({"devices": given}, f"trainer.devices={shown}: give a whole number from 1")
            for given, shown in [
                ("two", "two"),
                ("0,1", "0,1"),
                (None, "null"),
                (0, "0"),
                (1.5, "1.5"),
                ([], "[]"),
            ]
        ),
    ],
)
def test_what_no_machine_takes_is_refused_before_any_picture_is_read(node, sentence):
    with pytest.raises(InputError) as refused:
        check_accelerator(node)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    "node",
    [
        {},
        {"precision": "16-mixed", "accelerator": "auto"},
        {"deterministic": True},
        *({"devices": given} for given in ("auto", -1, "-1", 2, "2", [0, 1])),
    ],
)
def test_what_some_machine_takes_is_left_to_it(node):
    assert check_accelerator(node) is None


def pretend(monkeypatch, num_gpus: int, major: int) -> list[int]:
    """Let torch see GPUs that are not there, and note at which of them it looks."""
    looked: list[int] = []

    def properties(index: int) -> SimpleNamespace:
        looked.append(index)
        return SimpleNamespace(name="Card", major=major)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    return looked


@pytest.mark.parametrize(("major", "has_bf16"), [(7, False), (8, True), (9, True), (12, True)])
def test_bfloat16_comes_with_ampere(monkeypatch, major, has_bf16):
    pretend(monkeypatch, 1, major)
    assert read_device({}) == Device("cuda", "Card", has_bf16)


@pytest.mark.parametrize(("devices", "card"), [(1, 0), ("auto", 0), ([2, 3], 2)])
def test_all_ranks_look_at_the_first_card_so_that_they_choose_alike(monkeypatch, devices, card):
    looked = pretend(monkeypatch, 4, 9)
    read_device({"accelerator": "gpu", "devices": devices})
    assert looked == [card]


def test_no_card_is_looked_at_where_the_cpu_is_chosen(monkeypatch):
    looked = pretend(monkeypatch, 4, 9)
    assert (read_device({"accelerator": "cpu"}).kind, looked) == ("cpu", [])


@pytest.fixture
def switches(monkeypatch):
    """Return a function that reads torch's switches, and put them back after the test."""
    names = ("get_float32_matmul_precision", "are_deterministic_algorithms_enabled")
    exact, matmul = torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision()
    benchmark = torch.backends.cudnn.benchmark
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield lambda: [getattr(torch, name)() for name in names] + [torch.backends.cudnn.benchmark]
    torch.set_deterministic_debug_mode(exact)
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.benchmark = benchmark


def test_one_run_leaves_no_switch_to_the_next(monkeypatch, switches):
    pretend(monkeypatch, 1, 9)
    nodes = [{"accelerator": "cpu"}, {"accelerator": "gpu"}, {"accelerator": "gpu", "deterministic": True}]
    expected = dict(enumerate([["highest", True, False], ["high", False, False], ["highest", True, False]]))
    # From each of them to each other one.
    order = [0, 1, 0, 2, 1, 2, 0]
    assert {frozenset(pair) for pair in pairwise(order)} == {frozenset(p) for p in ((0, 1), (0, 2), (1, 2))}
    for number in order:
        from_lightning(settle(nodes[number]))
        assert switches() == expected[number]


def from_lightning(arguments: dict) -> None:
    """Set what the Trainer sets, which would look for a real GPU."""
    from lightning.pytorch.trainer.connectors.accelerator_connector import _set_torch_flags

    _set_torch_flags(deterministic=arguments["deterministic"], benchmark=arguments["benchmark"])


def test_cublas_is_told_before_its_first_product_even_if_a_later_run_alone_is_deterministic(
    monkeypatch, switches
):
    pretend(monkeypatch, 1, 9)
    settle({"accelerator": "gpu"})
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_users_workspace_of_cublas_stays(monkeypatch, switches):
    pretend(monkeypatch, 1, 9)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    settle({"accelerator": "gpu"})
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


GUARDED = """
import sys
from importlib import import_module

import torch
import torch.cuda

def refuse(*arguments, **options):
    raise AssertionError("CUDA was started")

torch.cuda._lazy_init = refuse
torch._C._cuda_init = refuse
torch.cuda.device_count = lambda: 4
for name in ("plan", "train"):
    sys.argv = ["imageclf-" + name, *{arguments}, "hydra.run.dir=" + name]
    try:
        import_module("imageclf." + name).main()
    except SystemExit as left:
        assert not left.code
    assert not torch.cuda.is_initialized()
"""


@pytest.mark.long
def test_neither_a_plan_nor_a_run_on_the_cpu_starts_cuda_on_a_machine_with_gpus(tiny, tmp_path):
    code = GUARDED.format(arguments=[*tiny, "~callbacks.report"])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).count("on cpu (") == 2
