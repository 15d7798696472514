"""Views that are wide or tall, against Pillow and against the slow reference of every preset."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from presets import STAMPS, caching, preset
from reference import one_view, original, render

from imageclf.data import PictureDataset, Request
from imageclf.data.device_store import DeviceStore
from imageclf.data.views.augmentation import NUM_DRAWS, draw_views
from imageclf.data.views.draws import uniforms
from imageclf.data.views.geometry import stored_side, stored_size
from imageclf.schedule.size import Oblong

PATHS = [str(path) for path in sorted(STAMPS.glob("*/*.jpg"))[::24]]
WIDE, TALL = Oblong(40, 96), Oblong(96, 40)
ROWS = np.arange(len(PATHS))
STILL = preset("none")


def dataset(resize="crop", augmentation=STILL, crop_pct=1.0):
    """Make a dataset of some stamps."""
    return PictureDataset(PATHS, ROWS, augmentation, resize, crop_pct, 42)


def shown(size, resize="crop", augmentation=STILL, view=0):
    """Return one view of each picture, `[N, H, W, 3]`."""
    request = Request(ROWS, np.full_like(ROWS, view), epoch=0, size=size)
    return dataset(resize, augmentation)[request].images.permute(0, 2, 3, 1).numpy().astype(float)


def apart(views, others):
    """Return the mean distance of pictures in steps of 255."""
    return np.mean(
        [np.abs(view - np.asarray(other, float)).mean() for view, other in zip(views, others, strict=True)]
    )


def by_pillow(path, size, resize, place=(0.5, 0.5)):
    """Return a picture of a size as Pillow makes it, bicubic and antialiased; a crop lies at a place."""
    picture, target = Image.fromarray(original(path)), (size.width, size.height)
    if resize == "squish":
        return picture.resize(target, Image.Resampling.BICUBIC)
    return ImageOps.fit(picture, target, Image.Resampling.BICUBIC, centering=place)


@pytest.mark.parametrize("size", [WIDE, TALL], ids=str)
@pytest.mark.parametrize("resize", ["crop", "squish"])
def test_the_picture_as_it_is_is_that_of_pillow(resize, size):
    views = shown(size, resize)
    assert views.shape[1:] == (*size, 3)
    assert apart(views, [by_pillow(path, size, resize) for path in PATHS]) < 3


def test_a_padded_picture_is_whole_in_the_middle():
    wholes = [ImageOps.contain(Image.fromarray(original(path)), (96, 40)) for path in PATHS]
    inside = []
    for view, whole in zip(shown(WIDE, "pad"), wholes, strict=True):
        left, top = (96 - whole.width) // 2, (40 - whole.height) // 2
        inside.append(view[top : top + whole.height, left : left + whole.width])
    # An odd margin is half a pixel aside.
    assert apart(inside, wholes) < 6


@pytest.mark.parametrize(
    ("name", "resize", "size"),
    [
        ("side_on", "crop", WIDE),
        ("side_on", "pad", TALL),
        ("top_down", "crop", TALL),
        ("top_down", "random_resized_crop", WIDE),
        ("fastai2", "squish", WIDE),
        ("fastai2", "pad", WIDE),
        ("fastai2", "random_resized_crop", TALL),
    ],
)
def test_a_drawn_view_is_that_of_the_reference(name, resize, size):
    augmentation = preset(name)
    drawn = draw_views(augmentation, uniforms(42, 0, ROWS, np.ones_like(ROWS), NUM_DRAWS))
    expected = [
        render(original(path), tuple(size), resize, one_view(drawn, row), augmentation.lighting)
        for row, path in enumerate(PATHS)
    ]
    assert apart(shown(size, resize, augmentation, view=1), expected) < 3


def test_a_view_from_above_is_turned_upside_down_but_never_aside():
    still = {"max_rotate": 0, "max_zoom": 1, "max_warp": 0, "max_lighting": 0, "p_flip": 0.5}
    plain, seen = shown(WIDE, "squish"), set()
    for view in range(1, 9):
        for one, other in zip(shown(WIDE, "squish", preset("top_down", **still), view), plain, strict=True):
            ways = [other, other[:, ::-1], other[::-1], other[::-1, ::-1]]
            distances = [apart([one], [way]) for way in ways]
            assert min(distances) < 1
            seen.add(int(np.argmin(distances)))
    assert seen == {0, 1, 2, 3}


def test_a_random_crop_may_differ_from_the_view_in_shape_by_the_largest_ratio():
    whole = preset("none", min_scale=1, max_ratio=1)
    # The largest part of the shape of the view, at the centre, is what a crop shows.
    assert apart(shown(WIDE, "random_resized_crop", whole, view=1), shown(WIDE, "crop")) < 1


@pytest.mark.parametrize(("number", "place"), [(-9, (0, 0)), (-10, (1, 0)), (-11, (0, 1)), (-12, (1, 1))])
def test_a_fixed_crop_lies_in_its_corner(number, place):
    expected = [by_pillow(path, WIDE, "crop", place) for path in PATHS]
    assert apart(shown(WIDE, view=number), expected) < 3


def test_views_on_the_device_are_those_of_the_cpu(tmp_path):
    found = dataset("crop", preset("fastai2"))
    sides = {size: found.side_of(size) for size in (WIDE, TALL, 32)}
    found.stores = caching(tmp_path, cache="raw").stores(PATHS, sides, "crop")
    for size in (WIDE, TALL):
        request = Request(ROWS, np.ones_like(ROWS), epoch=3, size=size)
        store = DeviceStore(found.stores[size], found.viewing, ROWS, torch.device("cpu"))
        assert apart(store.render(request).images.numpy(), found[request].images.numpy()) < 0.5


@pytest.mark.parametrize(
    ("resize", "shape", "expected"),
    [
        ("crop", (1000, 1000), (160, 160)),
        ("crop", (1000, 400), (180, 72)),
        ("pad", (1000, 1000), (72, 72)),
        ("squish", (1000, 1000), (160, 72)),
        ("crop", (100, 50), (100, 50)),
    ],
)
def test_a_stored_picture_has_what_its_views_show(resize, shape, expected):
    side = stored_side(Oblong(40, 128), resize)
    assert side == Oblong(72, 160)
    assert stored_size(*shape, side, resize) == expected
