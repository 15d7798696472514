"""CuDNN searches for fast kernels in long phases alone."""

import pytest
import torch

from imageclf.callbacks.always.kernel_search import KernelSearch, epochs_alike, searches
from imageclf.model.layout import MIN_STEPS
from imageclf.schedule import Phase, RunState, Schedule
from imageclf.training.build import build_callbacks

SCHEDULE = Schedule(
    {
        "head": Phase(cycle_len=2, lr=1e-3, unfreeze_to="head"),
        "tune": Phase(n_cycles=3, cycle_len=1, lr=1e-3, size=[64, 96, 96]),
        "more": Phase(cycle_len=2, lr=1e-4, size=96),
    }
)


def test_epochs_are_alike_that_train_the_same_layers_at_the_same_size() -> None:
    sizes = [(place.size, place.phase.unfreeze_to) for place in SCHEDULE.places]
    assert sizes[0] == (None, "head") and len(set(sizes)) == 3
    assert epochs_alike(SCHEDULE) == [2, 2, 1, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("num_alike", "num_batches", "batch", "expected"),
    [
        (10, MIN_STEPS // 10, 0, True),
        (10, MIN_STEPS // 10 - 1, 0, False),
        (10, MIN_STEPS // 10, MIN_STEPS // 10 - 2, True),
        (10, MIN_STEPS // 10, MIN_STEPS // 10 - 1, False),
    ],
)
def test_long_phases_search_but_not_in_the_last_batch_of_an_epoch(
    num_alike: int, num_batches: int, batch: int, expected: bool
) -> None:
    assert searches(num_alike, num_batches, batch) is expected


@pytest.mark.parametrize(("typed", "expected"), [([], 1), (["trainer.benchmark=true"], 0)])
def test_it_is_in_every_run_whose_user_has_not_decided(parsed, tmp_path, typed, expected) -> None:
    callbacks = build_callbacks(parsed(*typed), RunState(), tmp_path)
    assert sum(isinstance(each, KernelSearch) for each in callbacks) == expected


def test_a_run_on_the_cpu_leaves_the_switch_alone(train) -> None:
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
    try:
        train()
        assert torch.backends.cudnn.benchmark is False
    finally:
        torch.backends.cudnn.benchmark = before
