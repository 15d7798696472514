import math

import numpy as np
import pytest
import torch

from imageclf.schedule.shapes import SHAPES, constant, cosine, flat_cosine, onecycle

FRACTIONS = np.arange(400) / 400


@pytest.mark.parametrize(
    ("t", "expected"), [(0, 1), (0.25, 0.85355339), (0.5, 0.5), (0.75, 0.14644661), (1, 0)]
)
def test_the_cosine_has_the_values_of_sgdr(t, expected):
    assert cosine(t) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("t", "expected"),
    [
        (0, 1 / 25),
        (0.125, (1 / 25 + 1) / 2),
        (0.25, 1),
        (0.625, (1 + 1e-5) / 2),
        (1, 1e-5),
    ],
)
def test_onecycle_passes_through_its_corners_and_midpoints(t, expected):
    assert onecycle(t) == pytest.approx(expected, rel=1e-12)


def test_onecycle_agrees_with_torch():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    # Torch starts the fall a step before the step whose fraction is pct_start, and ends it at the last.
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=1.0,
        total_steps=401,
        pct_start=101 / 401,
        div_factor=25,
        final_div_factor=1e5 / 25,
        cycle_momentum=False,
    )
    rates = []
    for _ in FRACTIONS:
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose([onecycle(t) for t in FRACTIONS], rates, rtol=1e-9)


@pytest.mark.parametrize(
    ("pct_start", "div", "div_final"), [(0.3, 10.0, 100.0), (0.99, 25.0, 1e5), (0.0, 25.0, 1e4)]
)
def test_onecycle_takes_other_corners(pct_start, div, div_final):
    corners = [onecycle(t, pct_start=pct_start, div=div, div_final=div_final) for t in (pct_start, 1)]
    assert corners == pytest.approx([1, 1 / div_final])


@pytest.mark.parametrize(
    ("t", "expected"),
    [(0, 1), (0.5, 1), (0.7499, 1), (0.75, 1), (0.875, 0.5), (1, 0)],
)
def test_flat_cosine_stays_at_the_peak_for_three_quarters(t, expected):
    assert flat_cosine(t) == pytest.approx(expected, abs=1e-12)


def test_flat_cosine_falls_as_a_cosine_squeezed_into_the_last_quarter():
    t = np.linspace(0.75, 1, 50)
    expected = 0.5 + 0.5 * np.cos(4 * math.pi * (t - 0.75))
    np.testing.assert_allclose([flat_cosine(each) for each in t], expected, atol=1e-12)


def test_constant_never_moves():
    assert {constant(t) for t in FRACTIONS} == {1.0}


def test_there_are_four_shapes():
    assert sorted(SHAPES) == ["constant", "cosine", "flat_cosine", "onecycle"]


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_shape_stays_between_nothing_and_the_peak(name):
    values = [SHAPES[name](t) for t in FRACTIONS]
    assert 0 < min(values) <= max(values) <= 1


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_a_shape_reaches_the_peak(name):
    assert max(SHAPES[name](t) for t in FRACTIONS) == pytest.approx(1)
