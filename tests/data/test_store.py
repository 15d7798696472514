"""Views of stored pictures are those of their files: bit for bit if raw, nearly so as JPEGs."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from presets import STAMPS, caching, preset, smooth, write_noise

from imageclf import InputError
from imageclf.data import PictureDataset, Request, read_picture
from imageclf.data.pictures.store import open_store, raw_bytes

RESIZES = ["crop", "squish", "pad", "random_resized_crop"]
STRONG = preset("fastai2", dihedral=True, min_scale=0.2)
STAMP_PATHS = [str(path) for path in sorted(STAMPS.glob("*/*.jpg"))][::12]


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Write pictures of many shapes and kinds: small, narrow, large JPEGs, one on its side, one grey."""
    folder = tmp_path_factory.mktemp("shapes")
    written = write_noise(folder, [(40, 40), (40, 60), (60, 40), (3, 90), (90, 3), (1, 1), (300, 210)])
    Image.fromarray(smooth(700, 1000)).save(folder / "large.jpg")
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(smooth(300, 500)).save(folder / "side.jpg", exif=tags)
    Image.fromarray(smooth(200, 333)).convert("L").save(folder / "grey.png")
    return [*written, *(str(folder / name) for name in ("large.jpg", "side.jpg", "grey.png"))]


def dataset(paths, resize, augmentation=STRONG, crop_pct=0.9):
    """Make a dataset that reads the pictures' own files."""
    return PictureDataset(paths, np.zeros(len(paths), dtype=int), augmentation, resize, crop_pct, 42)


def stored(paths, resize, root, cache, size):
    """Make a dataset that reads from a store."""
    data = dataset(paths, resize)
    data.stores = caching(root, cache=cache).stores(paths, {size: data.side_of(size)}, resize)
    return data


def request(count, views, size):
    """Ask for some views of every picture."""
    rows = np.repeat(np.arange(count), len(views))
    return Request(rows, np.tile(views, count), epoch=3, size=size)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [16, 64, 160])
def test_a_raw_store_gives_the_bytes_that_the_files_give(paths, tmp_path, resize, size):
    asked = request(len(paths), [0, 1, 2, 5, -1, -12], size)
    with_store, without = stored(paths, resize, tmp_path, "raw", size), dataset(paths, resize)
    assert set(with_store.stores) == {size}
    assert torch.equal(with_store[asked].images, without[asked].images)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [32, 224])
def test_a_store_of_jpegs_gives_photos_within_three_steps(tmp_path, resize, size):
    asked = request(len(STAMP_PATHS), [0, 1], size)
    with_store, without = stored(STAMP_PATHS, resize, tmp_path, "jpeg", size), dataset(STAMP_PATHS, resize)
    apart = (with_store[asked].images.float() - without[asked].images.float()).abs()
    assert len(apart) == 2 * len(STAMP_PATHS) > 40
    assert 0 < apart.mean() <= 3


def test_another_size_than_that_of_the_store_is_read_from_the_files(paths, tmp_path):
    with_store, without = stored(paths, "crop", tmp_path, "raw", 64), dataset(paths, "crop")
    asked = request(len(paths), [0, 1], 48)
    assert torch.equal(with_store[asked].images, without[asked].images)


def test_a_dataset_with_a_store_reads_no_file(paths, tmp_path):
    copies = [tmp_path / f"{index}{path[-4:]}" for index, path in enumerate(paths)]
    for copy, path in zip(copies, paths, strict=True):
        shutil.copy(path, copy)
    data = stored([str(copy) for copy in copies], "crop", tmp_path / "cache", "raw", 64)
    for copy in copies:
        copy.unlink()
    expected = stored(paths, "crop", tmp_path / "other", "raw", 64)
    asked = request(len(paths), [0, 1], 64)
    assert torch.equal(data[asked].images, expected[asked].images)


def test_a_picture_that_needs_no_shrinking_is_stored_as_it_is(paths, tmp_path):
    data = stored(paths, "crop", tmp_path, "raw", 64)
    np.testing.assert_array_equal(open_store(data.stores[64]).read(1).pixels, read_picture(paths[1]))


@pytest.mark.parametrize("cache", ["raw", "jpeg"])
def test_stored_pictures_may_not_be_written_to(paths, tmp_path, cache):
    picture = open_store(stored(paths, "crop", tmp_path, cache, 64).stores[64]).read(0).pixels
    with pytest.raises(ValueError, match="read-only"):
        picture[:] = 0


def test_where_a_store_is_travels_between_processes(paths, tmp_path):
    place = stored(paths, "crop", tmp_path, "raw", 64).stores[64]
    there = pickle.loads(pickle.dumps(place))
    np.testing.assert_array_equal(open_store(there).read(7).pixels, open_store(place).read(7).pixels)


def test_the_same_files_give_the_same_bytes_elsewhere(paths, tmp_path):
    folders = [stored(paths, "pad", tmp_path / name, "jpeg", 64).stores[64].folder for name in "ab"]
    for name in ("pixels.bin", "index.npy"):
        one, other = ((folder / name).read_bytes() for folder in folders)
        assert one == other and len(one) > 100


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [32, 160])
def test_the_size_of_a_raw_store_is_told_beforehand(tmp_path, resize, size):
    side = dataset(STAMP_PATHS, resize).side_of(size)
    folder = stored(STAMP_PATHS, resize, tmp_path, "raw", size).stores[size].folder
    told = raw_bytes(STAMP_PATHS, side, resize)
    assert told == pytest.approx((folder / "pixels.bin").stat().st_size, rel=0.03)


def test_the_size_of_a_large_raw_store_is_told_from_some_of_its_pictures(tmp_path):
    paths = [str(path) for path in sorted(STAMPS.glob("*/*.jpg"))]
    folder = stored(paths, "crop", tmp_path, "raw", 160).stores[160].folder
    assert len(paths) > 200
    side = dataset(paths, "crop").side_of(160)
    assert raw_bytes(paths, side, "crop") == pytest.approx((folder / "pixels.bin").stat().st_size, rel=0.05)


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [64, 128, 224])
def test_a_store_of_jpegs_takes_at_most_the_quarter_that_is_reckoned_with(tmp_path, resize, size):
    folder = stored(STAMP_PATHS, resize, tmp_path, "jpeg", size).stores[size].folder
    told = raw_bytes(STAMP_PATHS, dataset(STAMP_PATHS, resize).side_of(size), resize)
    assert (folder / "pixels.bin").stat().st_size <= 0.25 * told


def test_a_picture_that_cannot_be_read_is_named_and_leaves_no_store(paths, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"broken\.png: not a picture"):
        stored([*paths, str(broken)], "crop", tmp_path / "cache", "raw", 64)
    assert [path.name for path in tmp_path.glob("cache/pictures/*") if path.is_dir()] == []
