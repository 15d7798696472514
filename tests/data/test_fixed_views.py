"""Views by number, against torchvision's crops and fastai 1's own arithmetic."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import affine_grid, grid_sample
from torchvision.transforms.functional import pil_to_tensor, ten_crop

from imageclf.data import dataset as dataset_module
from imageclf.data.dataset import PictureDataset, Request
from imageclf.data.pictures.store import Shrunk
from imageclf.data.views.augmentation import NUM_DRAWS, Augmentation, draw_views, plain_views
from imageclf.data.views.fixed_views import NINE_CROPS, ZOOMED_CORNERS, is_varied, views_of

FIXED = (*ZOOMED_CORNERS, *NINE_CROPS)
STILL = Augmentation(
    max_rotate=0, p_rotate=0, max_zoom=1, p_zoom=0, max_warp=0, p_warp=0, max_lighting=0, p_lighting=0,
    lighting="linear", p_flip=0, dihedral=False, min_scale=0.08, max_ratio=4 / 3, extra=None,
)  # fmt: skip
STRONG = replace(
    STILL, max_rotate=20, p_rotate=1, max_zoom=1.3, p_zoom=1, max_warp=0.2, p_warp=1, max_lighting=0.3,
    p_lighting=1, p_flip=0.5, dihedral=True,
)  # fmt: skip
DRAWS = np.random.default_rng(0).random((len(FIXED), NUM_DRAWS))


def inverted(picture):
    return 255 - picture


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Write a noisy picture and a smooth one, 40 pixels high and 48 wide."""
    folder = tmp_path_factory.mktemp("fixed")
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    y, x = np.mgrid[:40, :48] / 10
    smooth = 128 + 100 * np.stack([np.sin(x + y), np.cos(x) * np.sin(y), np.sin(x - 2 * y)], axis=2)
    for name, picture in (("noise", noise), ("smooth", smooth.astype(np.uint8))):
        Image.fromarray(picture).save(folder / f"{name}.png")
    return [str(folder / "noise.png"), str(folder / "smooth.png")]


def make(paths, augmentation=STILL, resize="crop", crop_pct=0.8, seed=42):
    """A picture of 40 pixels is at its own scale where 32 are four fifths of it."""
    return PictureDataset(paths, np.array([0, 1]), augmentation, resize, crop_pct, seed)


def images(data, views, row=0, epoch=0, size=32):
    rows = np.full(len(views), row)
    return data[Request(rows, np.array(views), epoch, size)].images


def test_five_crops_are_those_of_torchvision_bit_for_bit(paths):
    picture = pil_to_tensor(Image.open(paths[0]))
    left_top, right_top, left_bottom, right_bottom, centre, *flipped = ten_crop(picture, [32, 32])
    # Its flipped picture has the right half on the left.
    mirrored = [flipped[index] for index in (1, 0, 3, 2, 4)]
    expected = [centre, left_top, right_top, left_bottom, right_bottom, *mirrored]
    assert torch.equal(images(make(paths), [0, *NINE_CROPS]), torch.stack(expected))


def test_five_crops_are_the_same_for_a_model_trained_on_random_crops(paths):
    shown = [images(make(paths, resize=how), NINE_CROPS) for how in ("crop", "random_resized_crop")]
    assert torch.equal(*shown)


@pytest.mark.parametrize("resize", ["squish", "pad"])
def test_corners_of_a_whole_picture_are_those_of_torchvision_after_enlarging_by_8_to_7(tmp_path, resize):
    square = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(square).save(tmp_path / "square.png")
    data = PictureDataset([str(tmp_path / "square.png")], np.array([0]), STILL, resize, 0.9, 42)
    shown = images(data, [0, *NINE_CROPS], size=28)
    crops = ten_crop(torch.from_numpy(square).permute(2, 0, 1), [28, 28])
    assert torch.equal(shown[1:5], torch.stack(crops[:4]))
    # OpenCV counts places between pixels in 32nds, from either side.
    assert (shown[9].int() - shown[0].flip(2).int()).abs().max() < 8
    assert not torch.equal(shown[0], crops[4])


@pytest.mark.parametrize("change", [{"seed": 7}, {"augmentation": replace(STRONG, extra=inverted)}])
def test_five_crops_draw_nothing(paths, change):
    assert torch.equal(images(make(paths), NINE_CROPS), images(make(paths, **change), NINE_CROPS, epoch=3))


def fastai1_views(picture, size):
    """Return what `tta_only` of fastai 1 makes of a picture `[3, H, W]` whose shorter side is `size`."""
    for index in range(8):
        row, col = float(bool(index & 1)), float(bool(index & 2))
        shift = 1 - 1 / 1.35
        matrix = [[1 / 1.35, 0, shift * (2 * col - 1)], [0, 1 / 1.35, shift * (2 * row - 1)]]
        grid = affine_grid(torch.tensor([matrix]), [1, *picture.shape], align_corners=False)
        zoomed = grid_sample(picture[None], grid, padding_mode="reflection", align_corners=False)[0]
        top = int(row * (picture.shape[1] - size))
        left = int(col * (picture.shape[2] - size))
        view = zoomed[:, top : top + size, left : left + size]
        yield view.flip(2) if index & 4 else view


def test_zoomed_corners_are_those_of_fastai1(paths):
    picture = pil_to_tensor(Image.open(paths[1])).float()
    expected = torch.stack(list(fastai1_views(picture, 40)))
    shown = images(make(paths), ZOOMED_CORNERS, row=1, size=40).float()
    assert expected.std() > 50
    assert (shown - expected).abs().max() < 4


def test_zoomed_corners_are_varied_as_drawn_but_for_their_place():
    numbers = np.array(ZOOMED_CORNERS)
    views = views_of(numbers, STRONG, DRAWS[:8], "crop")
    drawn = draw_views(STRONG, DRAWS[:8])
    for name in ("angle", "warp_x", "warp_y", "brightness", "contrast", "seed"):
        assert np.array_equal(getattr(views, name), getattr(drawn, name))
    assert views.zoom.tolist() == [1.35] * 8
    assert views.turns.tolist() == [0] * 8
    assert len(set(zip(views.x, views.y, views.mirror, strict=True))) == 8


def test_zoomed_corners_change_with_the_seed_and_take_the_extra_transform(paths):
    plain = images(make(paths), ZOOMED_CORNERS)
    varied = [images(make(paths, STRONG, seed=seed), ZOOMED_CORNERS) for seed in (1, 2)]
    assert not torch.equal(*varied)
    assert torch.equal(images(make(paths, replace(STILL, extra=inverted)), ZOOMED_CORNERS), 255 - plain)


@pytest.mark.parametrize(("number", "expected"), [(0, plain_views(17)), (5, draw_views(STRONG, DRAWS))])
def test_a_number_from_zero_on_is_plain_or_drawn_as_ever(number, expected):
    views = views_of(np.full(17, number), STRONG, DRAWS, "squish")
    assert all(np.array_equal(one, other) for one, other in zip(views, expected, strict=True))


def test_a_view_does_not_depend_on_the_others_of_its_batch():
    together = views_of(np.array(FIXED), STRONG, DRAWS, "pad")
    for index, number in enumerate(FIXED):
        alone = views_of(np.array([number]), STRONG, DRAWS[index : index + 1], "pad")
        assert all(
            np.array_equal(one[index : index + 1], two) for one, two in zip(together, alone, strict=True)
        )


def test_every_fixed_view_has_a_number_of_its_own():
    assert sorted(FIXED) == list(range(-17, 0))
    assert is_varied(np.array([2, 1, 0, -1, -8, -9, -17])).tolist() == [
        True,
        True,
        False,
        True,
        True,
        False,
        False,
    ]


def test_a_picture_is_read_once_for_all_its_views(paths, monkeypatch):
    read, rows = dataset_module.read_shrunk, []
    monkeypatch.setattr(
        dataset_module, "read_shrunk", lambda path, *more: rows.append(path) or read(path, *more)
    )
    data = make(paths)
    data[Request(np.repeat([0, 1], 18), np.tile([0, *FIXED], 2), 0, 32)]
    assert rows == paths


def test_a_stored_picture_is_read_once_too(paths, monkeypatch):
    rows, picture = [], Shrunk(np.zeros((40, 48, 3), np.uint8), (48, 40))
    store = SimpleNamespace(read=lambda row: rows.append(row) or picture)
    monkeypatch.setattr(dataset_module, "open_store", lambda stored: store)
    data = make(paths)
    data.stores = {32: ("somewhere", "jpeg")}
    data[Request(np.repeat([0, 1], 18), np.tile([0, *FIXED], 2), 0, 32)]
    assert rows == [0, 1]
