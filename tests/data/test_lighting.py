"""Brightness and contrast by a table of 256 values, against the formulas of fastai 0.7 and fastai 2."""

import numpy as np
import pytest
import torch
from presets import noise

from imageclf.data.views.lighting import light, lighting_tables, mean_value

LINEAR = [(b, c) for b in (-0.9, -0.05, 0.0, 0.03, 0.9) for c in (0.5, 1 / 1.05, 1.0, 1.05, 1.9)]
LOGIT = [(b, c) for b in (-0.405, -0.1, 0.0, 0.2, 0.405) for c in (0.8, 0.95, 1.0, 1.1, 1.25)]


def lit(picture, brightness, contrast, lighting="linear"):
    """Return a picture with its lighting changed."""
    numbers = [np.array([number]) for number in (brightness, contrast, mean_value(picture))]
    result = picture.copy()
    light(result, lighting_tables(*numbers, lighting)[0])
    return result


@pytest.mark.parametrize(("brightness", "contrast"), LINEAR)
def test_linear_lighting_is_the_formula_of_fastai_0_7(brightness, contrast):
    picture = noise(24, 32)
    fraction = picture / 255
    expected = np.clip((fraction - fraction.mean()) * contrast + fraction.mean() + brightness, 0, 1)
    np.testing.assert_allclose(lit(picture, brightness, contrast), 255 * expected, atol=0.5 + 1e-9)


@pytest.mark.parametrize(("brightness", "contrast"), LOGIT)
def test_logit_lighting_is_what_fastai_2_does(brightness, contrast):
    augment = pytest.importorskip("fastai.vision.augment")
    picture = noise(24, 32)
    values = torch.from_numpy(picture / 255).permute(2, 0, 1)[None].double()
    change = float(1 / (1 + np.exp(-brightness)))
    steps = [augment._BrightnessLogit(p=1.0, draw=change), augment._ContrastLogit(p=1.0, draw=contrast)]
    for step in steps:
        step.before_call(values)
    logits = augment.logit(values)
    for step in steps:
        logits = step(logits)
    expected = 255 * torch.sigmoid(logits)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(lit(picture, brightness, contrast, "logit"), expected, atol=0.5 + 1e-3)


@pytest.mark.parametrize(("brightness", "expected"), [(0.9, 255), (-0.9, 0)])
def test_lighting_stops_at_white_and_black(brightness, expected):
    picture = np.full((4, 4, 3), 127, dtype=np.uint8)
    assert set(lit(picture, brightness, 1.0).ravel()) == {expected}


@pytest.mark.parametrize("contrast", [0.8, 1.25])
def test_in_logit_space_black_and_white_stay_as_they_are(contrast):
    ends = np.array([0, 255], dtype=np.uint8).repeat(12).reshape(4, 2, 3)
    np.testing.assert_array_equal(lit(ends, 0.4, contrast, "logit"), ends)


@pytest.mark.parametrize("lighting", ["linear", "logit"])
def test_no_lighting_leaves_every_value_as_it_is(lighting):
    table = lighting_tables(np.zeros(1), np.ones(1), np.array([99.0]), lighting)
    np.testing.assert_array_equal(table, [np.arange(256)])


@pytest.mark.parametrize("lighting", ["linear", "logit"])
def test_brighter_values_stay_the_brighter_ones(lighting):
    generator = np.random.default_rng(0)
    numbers = generator.uniform(-0.4, 0.4, 50), generator.uniform(0.5, 2, 50), generator.uniform(0, 255, 50)
    tables = lighting_tables(*numbers, lighting).astype(int)
    assert tables.shape == (50, 256) and (np.diff(tables) >= 0).all()


def test_the_mean_is_over_all_pixels_and_channels():
    picture = noise(23, 31)
    assert mean_value(picture) == pytest.approx(picture.astype(float).mean(), rel=1e-12)
