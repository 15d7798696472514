"""Every number of a training config has a range, and one outside is refused by its key."""

import copy
import doctest
import math
from collections.abc import Iterator
from typing import Any

import pytest
from composing import composed_in

from imageclf import InputError
from imageclf.configs import to_plain
from imageclf.schedule import Phase, ranges
from imageclf.schedule.cycles import MAX_EPOCHS
from imageclf.schedule.ranges import RANGES, Range, check_range, range_of
from imageclf.training.run_config import RunConfig, parse

CHOICES = [
    (),
    ("model/loss=focal", "model/optimizer=sgd"),
    ("trainer=ddp", "model/loss=bce"),
    ("cluster=slurm", "transforms=fastai2"),
]
ODD = [math.nan, math.inf, -math.inf, -1, 0, 1e30, 10**9]


def numbers(node: dict[str, Any], parent: str = "") -> Iterator[str]:
    """Yield the dotted keys of all numbers of a config."""
    for name, value in node.items():
        key = f"{parent}.{name}".lstrip(".")
        if isinstance(value, dict):
            yield from numbers(value, key)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield key


def config_of(tmp_path, *overrides):
    """Return a config as a run has it."""
    return to_plain(composed_in(tmp_path, overrides))


def with_value(config: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return a copy with another value under a dotted key."""
    changed = copy.deepcopy(config)
    *parents, name = key.split(".")
    node = changed
    for parent in parents:
        node = node[parent]
    node[name] = value
    return changed


@pytest.mark.parametrize("overrides", CHOICES, ids=" ".join)
def test_every_number_of_the_configs_has_a_range_and_lies_in_it(overrides, tmp_path):
    config = config_of(tmp_path, *overrides)
    keys = list(numbers(config))
    assert len(keys) > 60
    assert [key for key in keys if range_of(key) is None] == []
    parse(config, RunConfig)


@pytest.mark.fault(
    "Configs and secrets", "A number is nan, infinite, negative or huge", "It is refused by its key"
)
def test_an_odd_number_is_refused_by_its_key_or_legal(tmp_path):
    config, refused = config_of(tmp_path), 0
    for key in numbers(config):
        for value in ODD:
            try:
                parse(with_value(config, key, value), RunConfig)
            except InputError as error:
                assert key.rpartition(".")[2] in str(error)
                refused += 1
            else:
                assert math.isfinite(value) and range_of(key).holds(value)
    assert refused > 300


@pytest.mark.parametrize("key", RANGES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e31])
def test_no_key_takes_what_is_no_number_or_endless(key, value):
    with pytest.raises(InputError, match="give a number"):
        check_range(key.replace("*", "mine"), value)


@pytest.mark.parametrize(
    ("legal", "inside", "outside"),
    [
        (Range(0, 1), [0, 0.5, 1], [-1e-9, 1.1]),
        (Range(0, 1, above=True), [1e-9, 1], [0, 1.1]),
        (Range(0, 1, below=True), [0, 0.999], [1, -1]),
    ],
)
def test_ends_of_a_range(legal, inside, outside):
    assert all(map(legal.holds, inside)) and not any(map(legal.holds, outside))


@pytest.mark.parametrize(
    ("name", "value"), [("div", 0), ("div", -3), ("div_final", 0), ("pct_start", 1.5), ("n_cycles", 10**9)]
)
def test_a_phase_that_is_built_in_python_has_the_ranges_of_a_config(name, value):
    with pytest.raises(InputError, match=rf"^{name}={value}: give a number from"):
        Phase(shape="onecycle", **{name: value})


@pytest.mark.parametrize("value", ["auto", None, True, [0.1, 0.2], ["body1"]])
def test_what_is_no_number_has_no_range(value):
    check_range("schedule.phases.mine.lr", value)


def test_each_number_of_a_list_is_judged():
    with pytest.raises(
        InputError, match=r"schedule\.phases\.mine\.size=\[64,0\]: give a number from 1 to 8192"
    ):
        check_range("schedule.phases.mine.size", [64, 0])


@pytest.mark.parametrize(
    "cycles",
    [
        {"n_cycles": 10**5, "cycle_len": 2},
        {"n_cycles": 2, "cycle_len": 10**5},
        {"n_cycles": 3, "cycle_mult": 10**5},
        {"n_cycles": 10**5, "cycle_len": 10**5, "cycle_mult": 10**5},
    ],
)
@pytest.mark.fault("Configs and secrets", "A phase has a billion epochs", "It is refused at once")
def test_a_phase_of_endless_epochs_is_refused_at_once(cycles):
    with pytest.raises(InputError, match=f"at most {MAX_EPOCHS:,} epochs"):
        Phase(**cycles)


def test_the_examples_hold():
    tried = doctest.testmod(ranges)
    assert tried.attempted and not tried.failed
