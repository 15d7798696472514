import warnings

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from imageclf import InputError
from imageclf.schedule import Phase, Schedule
from imageclf.schedule.shapes import plateau

GROUPS = ("body0", "head")


def torchs_scales(losses, patience, factor):
    """Return the multiplier that torch's scheduler has arrived at after each loss."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = ReduceLROnPlateau(optimizer, patience=patience, factor=factor, eps=0)
    scales = []
    for loss in losses:
        with warnings.catch_warnings():
            scheduler.step(loss)
        scales.append(optimizer.param_groups[0]["lr"])
    return scales


@pytest.mark.parametrize("patience", [0, 1, 2, 5])
@pytest.mark.parametrize("factor", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_it_lowers_the_rate_when_torchs_scheduler_does(patience, factor, seed):
    losses = np.random.default_rng(seed).normal(1.0, 0.2, 40).round(2).tolist()
    ours = [plateau(losses[: epoch + 1], patience, factor) for epoch in range(40)]
    assert ours == pytest.approx(torchs_scales(losses, patience, factor), rel=1e-12)


def test_a_fall_below_the_threshold_is_none():
    assert plateau([1.0, 0.99995, 0.99991], patience=1, factor=0.1) == 0.1


def test_a_loss_that_is_not_a_number_is_no_better():
    assert plateau([1.0, float("nan"), float("nan")], patience=1, factor=0.1) == 0.1


def test_without_losses_the_rate_is_the_peak():
    assert plateau([], patience=0, factor=0.1) == 1.0


@pytest.fixture
def schedule():
    return Schedule({"first": Phase(lr=1.0), "stepwise": Phase(2, 4, lr=1.0, shape="plateau", patience=0)})


def head_rates(schedule, losses):
    return [schedule.lrs(GROUPS, epoch, 2, 5, {}, losses)["head"] for epoch in range(1, 9)]


def test_only_the_losses_of_the_cycle_so_far_count(schedule):
    losses = {0: 0.1, 1: 0.9, 2: 0.8, 3: 0.8, 4: 0.8, 5: 0.7, 6: 0.9, 7: 0.6, 8: 0.5}
    assert head_rates(schedule, losses) == pytest.approx([1, 1, 1, 0.1, 1, 1, 0.1, 0.1])


def test_a_run_without_any_losses_yet_is_at_the_peak(schedule):
    assert head_rates(schedule, {}) == [1.0] * 8


def test_eta_min_is_its_floor():
    phase = Phase(cycle_len=9, lr=1.0, shape="plateau", patience=0, eta_min=0.03)
    scales = [phase.lr_scale(len(losses), 0, 5, losses) for losses in ([], [1.0] * 2, [1.0] * 3, [1.0] * 6)]
    assert scales == pytest.approx([1, 0.1, 0.03, 0.03])


def test_without_held_out_pictures_it_is_refused(schedule):
    with pytest.raises(InputError, match=r"^schedule\.phases\.stepwise\.shape=plateau: it goes by the valid"):
        schedule.check(GROUPS, has_validation=False)


@pytest.mark.parametrize(("key", "value"), [("patience", -1), ("plateau_factor", 0), ("plateau_factor", 1.1)])
def test_its_keys_have_a_range(key, value):
    with pytest.raises(InputError, match=f"^{key}={value}: give"):
        Phase(**{key: value})
