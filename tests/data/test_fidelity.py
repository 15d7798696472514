"""Every view of every preset, against one slow resampling of the whole original picture in floats."""

import numpy as np
import pytest
from marks import only
from presets import STAMPS, preset
from reference import one_view, original, render

from imageclf.data import PictureDataset, Request
from imageclf.data.views.augmentation import NUM_DRAWS, draw_views, plain_views
from imageclf.data.views.draws import uniforms

RESIZES = ["crop", "squish", "pad", "random_resized_crop"]
PRESETS = ["side_on", "top_down", "none", "fastai2"]
# In steps of 255.
LIMIT = 3.0
SEED = 42
PATHS = [str(path) for path in sorted(STAMPS.glob("*/*.jpg"))]
# Of which pictures, at which sizes: some of them at each, all at one.
CASES = pytest.mark.parametrize(
    ("step", "size"),
    only([(6, 32), (6, 128)], [(6, 32), (6, 64), (6, 128), (1, 128), (6, 224), (6, 288)]),
)


def differences(paths, augmentation, resize, size, view, crop_pct=1.0):
    """Return the mean absolute difference of each picture's view from the reference, [N]."""
    rows = np.arange(len(paths))
    numbers = np.full_like(rows, view)
    dataset = PictureDataset(paths, rows, augmentation, resize, crop_pct, SEED)
    images = dataset[Request(rows, numbers, epoch=0, size=size)].images.permute(0, 2, 3, 1).numpy()
    drawn = draw_views(augmentation, uniforms(SEED, 0, rows, numbers, NUM_DRAWS))
    views = drawn if view else plain_views(len(rows))
    # A random part is shown of training pictures alone.
    shown = "crop" if resize == "random_resized_crop" and view == 0 else resize
    expected = (
        render(original(path), size, shown, one_view(views, row), augmentation.lighting, crop_pct)
        for row, path in zip(rows, paths, strict=True)
    )
    return np.array([np.abs(image - each).mean() for image, each in zip(images, expected, strict=True)])


def check(paths, *case, **options):
    """Hold a case to the limit."""
    found = differences(paths, *case, **options)
    worst = found.argmax()
    figures = f"mean {found.mean():.2f}, largest {found[worst]:.2f} of {paths[worst]}, {len(paths)} pictures"
    assert len(found) == len(paths) > 40
    assert found.mean() <= LIMIT, figures


def test_the_stamps_are_found():
    assert len(PATHS) == 255


@CASES
@pytest.mark.parametrize("resize", RESIZES)
def test_the_picture_as_it_is_is_within_three_steps_of_the_reference(resize, size, step):
    check(PATHS[::step], preset("side_on"), resize, size, 0)


@CASES
def test_a_crop_that_keeps_a_share_is_within_three_steps_of_the_reference(size, step):
    check(PATHS[::step], preset("side_on"), "crop", size, 0, crop_pct=0.875)


@CASES
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("name", PRESETS)
def test_a_drawn_view_is_within_three_steps_of_the_reference(name, resize, size, step):
    check(PATHS[::step], preset(name), resize, size, 1)


@CASES
def test_what_rand_augment_starts_from_is_within_three_steps_of_the_reference(size, step):
    check(PATHS[::step], preset("rand_augment", extra=None), "random_resized_crop", size, 1)


@pytest.mark.parametrize(
    "change", [{"mirror": True}, {"turns": 1}, {"angle": 0.1}, {"zoom": 1.1}, {"warp_x": 0.2}, {"x": 0.7}]
)
def test_the_reference_would_notice_any_other_view(change):
    views = plain_views(1)
    other = one_view(views, 0) | change
    picture = original(next(path for path in PATHS if "tiger" in path))
    shown, changed = (render(picture, 64, "crop", view, "linear") for view in (one_view(views, 0), other))
    assert np.abs(shown - changed).mean() > 2 * LIMIT
