"""What a run trains on is said: in the plan, and (see test_cli.py and test_summary.py) in log and summary."""

from datetime import date
from types import SimpleNamespace

import pytest
import torch

from imageclf.callbacks.always.machine_log import machine_of, start_words
from imageclf.commands import plan
from imageclf.system.machine import processor_name
from imageclf.training.build import build_parts
from imageclf.training.parts.accelerator import Device
from imageclf.training.parts.table import read_table

H100 = Device("cuda", "NVIDIA H100", has_bf16=True)


@pytest.fixture
def data(parsed):
    """Return a function that builds the data of a run with workers as the machine has cores for."""

    def build(*overrides):
        given = parsed("data.num_workers=auto", *overrides)
        return build_parts(given, read_table(given.data, verify=False)).data

    return build


@pytest.mark.parametrize(
    ("node", "overrides", "line"),
    [
        ({}, [], "bf16-mixed, not deterministic, 8 data workers"),
        ({"deterministic": True}, [], "bf16-mixed, deterministic, 8 data workers"),
        ({"deterministic": "warn"}, [], "bf16-mixed, deterministic where torch can, 8 data workers"),
        ({"precision": 32}, ["data.cache=none"], "32-true, not deterministic, 15 data workers"),
        ({"devices": 4, "strategy": "ddp"}, [], "bf16-mixed, not deterministic, 2 data workers"),
        ({}, ["data.num_workers=3"], "bf16-mixed, not deterministic, 3 data workers"),
    ],
)
def test_the_plan_says_what_a_gpu_would_do(data, monkeypatch, node, overrides, line):
    monkeypatch.setattr(plan, "read_device", lambda node: H100)
    monkeypatch.setattr("imageclf.data.loading.available_cores", lambda: 16)
    monkeypatch.setattr("imageclf.system.machine._FEW_PICTURES", 1)
    assert plan.machine_line(node, data(*overrides)) == f"trains on cuda (NVIDIA H100), {line}"


@pytest.mark.parametrize(
    ("kind", "mode", "exact"),
    [
        ("cuda", "default", False),
        ("cuda", "warn", "warn"),
        ("cuda", "error", True),
        ("cpu", "warn", True),
        ("cpu", "error", True),
    ],
)
def test_a_run_is_as_deterministic_as_torch_is(monkeypatch, kind, mode, exact):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card")
    strategy = SimpleNamespace(root_device=torch.device(kind))
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(mode)
    try:
        found = machine_of(
            SimpleNamespace(strategy=strategy, precision="32-true"), SimpleNamespace(num_workers=2)
        )
    finally:
        torch.set_deterministic_debug_mode(before)
    name = "Card" if kind == "cuda" else processor_name()
    assert found == (kind, name, "32-true", exact, 2)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "2027-01-31 on node7"),
        ({"SLURM_JOB_ID": "42"}, "2027-01-31 on node7, job 42"),
        (
            {"SLURM_JOB_ID": "43", "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "1"},
            "2027-01-31 on node7, job 42_1",
        ),
    ],
)
def test_the_day_the_host_and_the_job_are_logged(environment, words):
    assert start_words(date(2027, 1, 31), "node7", environment) == words
