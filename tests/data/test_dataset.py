from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from presets import preset

from imageclf import InputError
from imageclf.data.dataset import PictureDataset, Request
from imageclf.data.pictures.decode import read_picture

STRONG = preset("side_on", p_rotate=1, max_zoom=1.3, p_zoom=1, max_lighting=0.2)
SHAPES = [(40, 40), (40, 60), (60, 40), (33, 47)]
LABELS = np.array([0, 1, 2, -1])


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Write four noisy pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index, shape in enumerate(SHAPES):
        Image.fromarray(generator.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return [str(folder / f"{index}.png") for index in range(len(SHAPES))]


@pytest.fixture(params=["crop", "squish", "pad", "random_resized_crop"])
def resize(request):
    """Go through all ways to make a square."""
    return request.param


def dataset(paths, augmentation=STRONG, resize="crop", crop_pct=1.0, seed=42):
    """Make a dataset of the four pictures."""
    return PictureDataset(paths, LABELS, augmentation, resize, crop_pct, seed)


def asked(rows, views, epoch=0, size=32):
    """Make a request."""
    return Request(np.array(rows, dtype=np.int64), np.array(views, dtype=np.int64), epoch, size)


def images(paths, rows, views, epoch=0, size=32, **options):
    """Return the pictures of a request."""
    return dataset(paths, **options)[asked(rows, views, epoch, size)].images


def test_the_same_request_gives_the_same_bytes(paths, resize):
    twice = [images(paths, [0, 1, 2, 3], [1, 2, 3, 4], epoch=5, resize=resize) for _ in range(2)]
    assert torch.equal(*twice)


def test_a_picture_does_not_depend_on_its_batch(paths, resize):
    together = images(paths, [0, 1, 2, 3], [0, 1, 2, 0], epoch=3, resize=resize)
    alone = [images(paths, [row], [view], epoch=3, resize=resize) for row, view in enumerate([0, 1, 2, 0])]
    assert torch.equal(together, torch.cat(alone))


def test_the_picture_as_it_is_does_not_change_with_the_epoch(paths):
    assert torch.equal(images(paths, [0, 1], [0, 0], epoch=0), images(paths, [0, 1], [0, 0], epoch=9))


@pytest.mark.parametrize("change", [{"epoch": 1}, {"seed": 7}])
def test_a_drawn_view_changes_with_the_epoch_and_the_seed(paths, change):
    assert not torch.equal(images(paths, [0], [1]), images(paths, [0], [1], **change))


def test_the_views_of_a_picture_differ(paths):
    shown = images(paths, [0] * 5, range(5))
    assert len({picture.numpy().tobytes() for picture in shown}) == 5


def test_equal_pictures_in_different_rows_are_drawn_differently(paths):
    data = PictureDataset([paths[0]] * 4, LABELS, STRONG, "crop", 1.0, 42)
    shown = data[asked([0, 1, 2, 3], [1, 1, 1, 1])].images
    assert len({picture.numpy().tobytes() for picture in shown}) == 4


def test_reading_equal_neighbours_once_does_not_show(paths):
    rows, views = np.array([1, 1, 0, 0, 1, 2, 2]), np.array([0, 1, 0, 1, 2, 2, 1])
    apart = np.argsort(views, kind="stable")
    grouped, scattered = images(paths, rows, views), images(paths, rows[apart], views[apart])
    assert torch.equal(grouped[torch.from_numpy(apart)], scattered)


def test_the_picture_as_it_is_is_its_file_where_the_size_fits(paths):
    expected = torch.from_numpy(read_picture(paths[0]).copy()).permute(2, 0, 1)
    assert torch.equal(images(paths, [0], [0], size=40)[0], expected)


def test_the_crop_share_belongs_to_the_picture_as_it_is_alone(paths):
    shares = [images(paths, [0, 0], [0, 1], size=20, crop_pct=crop_pct) for crop_pct in (0.5, 1.0)]
    assert [torch.equal(*pair) for pair in zip(*shares, strict=True)] == [False, True]


def test_a_crop_share_of_a_half_shows_the_middle_half(paths):
    expected = torch.from_numpy(read_picture(paths[0])[10:30, 10:30].copy()).permute(2, 0, 1)
    assert torch.equal(images(paths, [0], [0], size=20, crop_pct=0.5)[0], expected)


def test_an_augmentation_of_nothing_still_crops_at_random(paths):
    nothing = replace(STRONG, max_rotate=0, max_zoom=1, max_lighting=0, p_flip=0)
    file = read_picture(paths[1])
    shown = images(paths, [1] * 8, range(1, 9), size=40, augmentation=nothing).permute(0, 2, 3, 1).numpy()
    crops = [file[:, start : start + 40] for start in range(21)]
    places = [[np.array_equal(picture, crop) for crop in crops].index(True) for picture in shown]
    assert len(set(places)) > 3


def test_pictures_are_uint8_of_the_size_that_is_asked_for(paths, resize):
    shown = images(paths, [0, 1, 2, 3], [0, 1, 0, 1], size=24, resize=resize)
    assert shown.dtype == torch.uint8 and shown.shape == (4, 3, 24, 24)


def test_pictures_are_stored_channels_last(paths):
    assert images(paths, [0, 1], [0, 0]).is_contiguous(memory_format=torch.channels_last)


def test_labels_and_rows_come_with_the_pictures(paths):
    batch = dataset(paths)[asked([3, 1, 1], [0, 0, 1])]
    assert (batch.labels.tolist(), batch.rows.tolist()) == ([-1, 1, 1], [3, 1, 1])


def test_a_batch_of_pictures_has_no_features(paths):
    assert dataset(paths)[asked([0], [0])].features is None


def test_a_dataset_is_as_long_as_its_table(paths):
    assert len(dataset(paths)) == 4


def test_paths_beyond_ascii_are_found(tmp_path):
    path = tmp_path / "Köter 犬.png"
    Image.fromarray(np.full((8, 8, 3), 5, dtype=np.uint8)).save(path)
    data = PictureDataset([str(path)], np.array([0]), STRONG, "crop", 1.0, 0)
    assert set(data[asked([0], [0], size=8)].images.ravel().tolist()) == {5}


def test_a_file_that_has_gone_is_named(paths, tmp_path):
    data = PictureDataset([*paths[:3], str(tmp_path / "gone.png")], LABELS, STRONG, "crop", 1.0, 0)
    with pytest.raises(InputError, match=r"gone\.png: there is no such file"):
        data[asked([0, 3], [0, 0])]
