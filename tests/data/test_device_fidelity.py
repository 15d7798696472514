"""Views made on the device, against the CPU's own path: at most a step of 255 apart, on every preset."""

import numpy as np
import pytest
import torch
from marks import only
from presets import STAMPS, caching, preset, write_noise

from imageclf.data import PictureDataset, Request
from imageclf.data.device_store import DeviceStore
from imageclf.data.views.fixed_views import NINE_CROPS, ZOOMED_CORNERS

RESIZES = ["crop", "squish", "pad", "random_resized_crop"]
PRESETS = ["side_on", "top_down", "none", "fastai2"]
# In steps of 255, of the picture that is furthest away.
LIMIT = 1.0
CPU = torch.device("cpu")
PATHS = [str(path) for path in sorted(STAMPS.glob("*/*.jpg"))]
# Of which pictures, at which sizes; all cases together took a quarter of an hour.
# All pictures at one size, and some of them at each: what differs between sizes differs for any picture.
CASES = pytest.mark.parametrize(
    ("step", "size"),
    only([(6, 64), (12, 128)], [(6, 32), (6, 64), (12, 128), (1, 128), (12, 224), (12, 288)]),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Keep the stores of all tests, so that each is written once."""
    return tmp_path_factory.mktemp("stores")


def both(paths, augmentation, resize, size, root, crop_pct=1.0):
    """Return the CPU's path, which reads from a store, and the device's."""
    labels = np.arange(len(paths))
    dataset = PictureDataset(paths, labels, augmentation, resize, crop_pct, 42)
    dataset.stores = caching(root, cache="raw").stores(paths, {size: dataset.side_of(size)}, resize)
    return dataset, DeviceStore(dataset.stores[size], dataset.viewing, labels, CPU)


def differences(dataset, store, size, views):
    """Return the mean absolute difference of each picture's view, `[N, V]`."""
    rows = np.arange(len(dataset))
    found = []
    for view in views:
        request = Request(rows, np.full_like(rows, view), epoch=0, size=size)
        one, other = dataset[request].images, store.render(request).images
        assert one.shape == other.shape and len(one) > 0
        found.append((one.float() - other.float()).abs().mean(dim=(1, 2, 3)))
    return torch.stack(found, dim=1)


def test_the_stamps_are_found():
    assert len(PATHS) == 255


@CASES
@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("name", PRESETS)
def test_plain_and_drawn_views_are_within_a_step_of_the_cpus(name, resize, size, step, root):
    paths = both(PATHS[::step], preset(name), resize, size, root)
    assert differences(*paths, size, views=(0, 1)).max() <= LIMIT


@CASES
@pytest.mark.parametrize("resize", RESIZES)
def test_all_fixed_views_are_within_a_step_of_the_cpus(resize, size, step, root):
    # Every picture has many views; every third picture is enough.
    paths = both(PATHS[:: 3 * step], preset("fastai2"), resize, size, root)
    assert differences(*paths, size, views=(*ZOOMED_CORNERS, *NINE_CROPS)).max() <= LIMIT


@CASES
def test_a_crop_that_keeps_a_share_is_within_a_step_of_the_cpus(size, step, root):
    paths = both(PATHS[::step], preset("side_on"), "crop", size, root, crop_pct=0.875)
    assert differences(*paths, size, views=(0, 1)).max() <= LIMIT


@pytest.mark.parametrize("resize", RESIZES)
def test_pictures_of_any_shape_are_within_a_step_of_the_cpus(resize, tmp_path):
    written = write_noise(tmp_path, [(40, 40), (40, 60), (60, 40), (3, 90), (90, 3), (1, 1), (300, 210)])
    augmentation = preset("fastai2", max_zoom=1.5, max_rotate=45, dihedral=True, min_scale=0.1)
    paths = both(written, augmentation, resize, 48, tmp_path / "cache")
    assert differences(*paths, 48, views=(0, *range(1, 20), -1, -9)).max() <= LIMIT


@pytest.mark.parametrize("resize", ["crop", "squish", "pad"])
def test_views_that_resample_nothing_are_the_cpus_bit_for_bit(resize, tmp_path):
    shapes = [(48, 48), (48, 61), (70, 48)] if resize == "crop" else [(48, 48)]
    augmentation = preset("none", max_lighting=0.3, p_lighting=1, p_flip=0.5, dihedral=True)
    paths = both(write_noise(tmp_path, shapes), augmentation, resize, 48, tmp_path / "cache")
    # With lighting, mirrored, turned, cropped at places of their own; and the crops of crop_pct 1.
    assert differences(*paths, 48, views=range(12)).max() == 0


@pytest.mark.parametrize("lighting", ["linear", "logit"])
def test_lighting_is_the_cpus_bit_for_bit(lighting, tmp_path):
    changes = {"max_lighting": 0.8, "p_lighting": 1, "lighting": lighting}
    paths = both(write_noise(tmp_path, [(48, 48)] * 3), preset("none", **changes), "crop", 48, tmp_path / "c")
    assert differences(*paths, 48, views=range(12)).max() == 0


@pytest.mark.parametrize(
    "change",
    [{"p_flip": 0}, {"max_rotate": 9}, {"max_zoom": 1.2}, {"max_lighting": 0.2}, {"lighting": "logit"}],
)
def test_the_comparison_would_notice_another_view(change, root):
    dataset, _ = both(PATHS[::6], preset("side_on"), "crop", 64, root)
    _, other = both(PATHS[::6], preset("side_on", **change), "crop", 64, root)
    assert differences(dataset, other, 64, views=range(1, 4)).max() > LIMIT
