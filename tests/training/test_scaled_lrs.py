"""lr_scaling: rates for the batches of all ranks, and what an accumulated batch is equal to."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import SMALL, phases, train_small

from imageclf import InputError
from imageclf.configs import to_plain
from imageclf.configs.plain import select
from imageclf.training.parts.scaled_lrs import scale_lrs, scaling_words
from imageclf.training.parts.shared_batches import for_ranks
from imageclf.training.run_config import RunConfig, parse

SCALED = {"lr_scaling": "linear", "data.batch_size": 64, "schedule.phases.finetune.lr": 0.01}
GLOBAL = {"data.batch_size": "auto", "data.global_batch_size": 128}

Parsed = Callable[[Mapping[str, Any]], RunConfig]


@pytest.fixture(scope="module")
def parsed(composed) -> Parsed:
    """Return a function that parses a training with other values of some dotted keys."""
    plain = to_plain(composed(*SMALL, "data.root=.", "schedule=minimal"))

    def parse_with(changed: Mapping[str, Any]) -> RunConfig:
        config = copy.deepcopy(plain)
        for key, value in {**SCALED, **changed}.items():
            node, _, name = key.rpartition(".")
            select(config, node)[name] = value
        return parse(config, RunConfig)

    return parse_with


def rate(config: RunConfig, ranks: int) -> object:
    """Return the scaled rate of the second phase."""
    return scale_lrs(config, ranks).schedule.phases["finetune"].lr


@pytest.mark.parametrize(
    ("changed", "ranks", "expected"),
    [
        ({}, 1, 0.01),
        ({}, 4, 0.04),
        ({"lr_scaling": "sqrt"}, 4, 0.02),
        ({"lr_scaling": "none"}, 4, 0.01),
        ({"trainer.accumulate_grad_batches": 2}, 4, 0.08),
        ({"lr_batch_size": 256}, 4, 0.01),
        ({"schedule.phases.finetune.batch_size": 32}, 4, 0.02),
        (GLOBAL, 4, 0.02),
        ({"schedule.phases.finetune.lr": "auto"}, 4, "auto"),
        (
            {"schedule.phases.finetune.lr": [0.001, 0.002, 0.01], "schedule.phases.finetune.lr_ratio": 1.0},
            2,
            [0.002, 0.004, 0.02],
        ),
    ],
)
def test_a_rate_grows_with_the_pictures_a_step(parsed: Parsed, changed, ranks: int, expected) -> None:
    assert rate(parsed(changed), ranks) == expected


def test_with_a_global_batch_the_rates_of_any_number_of_ranks_are_the_same(parsed: Parsed) -> None:
    ranks = [for_ranks(parsed({**GLOBAL, "trainer.devices": number}), {}) for number in (1, 2, 4)]
    assert [each.data.loading.batch_size for each in ranks] == [128, 64, 32]
    assert {each.schedule.phases["finetune"].lr for each in ranks} == {0.02}


def test_a_config_is_scaled_once(parsed: Parsed) -> None:
    once = scale_lrs(parsed({}), 4)
    assert scale_lrs(once, 4) is once


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (
            {"data.batch_size": "auto"},
            "lr_scaling=linear: data.batch_size=auto goes by the number of pictures; give it a number, or",
        ),
        (
            {"schedule.phases.finetune.n_cycles": 2, "schedule.phases.finetune.batch_size": [8, 4]},
            r"schedule.phases.finetune.batch_size=\[8, 4\] changes within the phase",
        ),
    ],
)
def test_a_batch_of_no_one_size_is_refused(parsed: Parsed, changed, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        scale_lrs(parsed(changed), 2)


def test_the_factors_are_said_by_phase(parsed: Parsed) -> None:
    said = scaling_words(parsed({"schedule.phases.head.lr": "auto"}), 4)
    assert said == "lr_scaling=linear, from lr_batch_size=64: finetune x 4 for 256 pictures a step"


def test_without_scaling_nothing_is_said(parsed: Parsed) -> None:
    assert scaling_words(parsed({"lr_scaling": "none"}), 4) is None


@pytest.fixture(scope="module")
def two_ways(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, torch.Tensor]]:
    """The final weights of batches of six, and of two batches of three accumulated."""
    # A step has the rate of its last batch, which is the same throughout with this shape alone.
    rates = {"lr": 0.001, "cycle_len": 2, "shape": "constant", "augment": False}
    given = [
        *phases(only={**rates, "bn": "eval", "unfreeze_to": 0}),
        "model/optimizer=sgd",
        "model.head.dropout=0",
        "data.valid_pct=0.334",
        "lr_scaling=linear",
        "lr_batch_size=3",
        "~callbacks.tta",
        "~callbacks.snapshots",
    ]
    batches = (["data.batch_size=6"], ["data.batch_size=3", "trainer.accumulate_grad_batches=2"])
    runs = [train_small(tmp_path_factory.mktemp("run"), pictures, *given, *each) for each in batches]
    saved = [next((run / "checkpoints").glob("*.ckpt")) for run in runs]
    return [torch.load(each, weights_only=True)["state_dict"] for each in saved]


@pytest.mark.long
def test_accumulated_batches_end_with_the_weights_of_one_large_batch(two_ways) -> None:
    large, accumulated = two_ways
    for name, weights in large.items():
        torch.testing.assert_close(accumulated[name], weights, rtol=1e-4, atol=1e-6, msg=name)
