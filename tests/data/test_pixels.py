"""Grey pictures, 16 bits, pages of a TIFF and arrays: decoded, kept, lit and measured with all they have."""

import logging
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from presets import SIDE_ON, STAMPS, caching, noise, preset, smooth

from imageclf import InputError
from imageclf.data import AutoAugment, PictureDataset, Request, read_picture
from imageclf.data.device_store import DeviceStore
from imageclf.data.pictures.arrays import shown
from imageclf.data.pictures.cache import content_key
from imageclf.data.pictures.caching import _VERSION, _key
from imageclf.data.pictures.inspect import inspect_picture
from imageclf.data.pictures.kinds import choose_pixels, measured, read_shown
from imageclf.data.pictures.pixels import RGB, Pixels, pixels_from
from imageclf.data.pictures.shrinking import StoreSpec
from imageclf.data.pictures.store import open_store
from imageclf.data.sources.listing import read_folder
from imageclf.data.views.geometry import shrink
from imageclf.data.views.lighting import light, light_16, lighting_tables
from imageclf.model.export.prepare import fit, read_planes
from imageclf.training.parts.pixels import check_pixels

GREY, DEEP, FIVE = Pixels(1), Pixels(1, 16), Pixels(5)
STAMP = str(next(iter(sorted(STAMPS.glob("*/*.jpg")))))
RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 65536, (30, 40), dtype=np.uint16)
BANDS = RNG.integers(0, 256, (30, 40, 5), dtype=np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write a file of each kind, and return the paths by name."""
    folder = tmp_path_factory.mktemp("files")
    paths = {name: str(folder / name) for name in ("deep.png", "colour.png", "pages.tif", "bands.npy")}
    Image.fromarray(VALUES).save(paths["deep.png"])
    cv2.imwrite(paths["colour.png"], np.dstack([VALUES, VALUES // 2, VALUES // 3]))
    first, *others = (Image.fromarray(page) for page in BANDS.transpose(2, 0, 1))
    first.save(paths["pages.tif"], save_all=True, append_images=others)
    np.save(paths["bands.npy"], BANDS)
    return paths


def test_a_photo_is_read_grey_as_pillow_does():
    with Image.open(STAMP) as image:
        expected = np.asarray(image.convert("L"))
    found = read_picture(STAMP, None, GREY)
    assert found.shape == (*expected.shape, 1)
    # Its luma as the JPEG has it: Pillow rounds it once more.
    assert np.abs(found[..., 0].astype(int) - expected).max() <= 2


@pytest.mark.parametrize(
    ("name", "pixels", "expected"),
    [
        ("deep.png", DEEP, VALUES[..., None]),
        ("deep.png", Pixels(3, 16), np.dstack([VALUES] * 3)),
        ("deep.png", GREY, np.rint(VALUES / 65535 * 255).astype(np.uint8)[..., None]),
        ("colour.png", Pixels(3, 16), np.dstack([VALUES // 3, VALUES // 2, VALUES])),
        ("pages.tif", FIVE, BANDS),
        ("bands.npy", FIVE, BANDS),
        ("bands.npy", Pixels(5, 16), BANDS.astype(np.uint16) * 257),
    ],
)
def test_a_file_is_read_with_the_channels_and_bits_of_the_run(files, name, pixels, expected):
    found = read_picture(files[name], None, pixels)
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.fixture
def three_pages(tmp_path):
    """Write a TIFF of three grey pages, and return its path."""
    first, *others = (Image.fromarray(page) for page in BANDS.transpose(2, 0, 1)[:3])
    first.save(tmp_path / "three.tif", save_all=True, append_images=others)
    return str(tmp_path / "three.tif")


def test_auto_reads_three_pages_as_three_channels(three_pages):
    chosen = choose_pixels("auto", "auto", [three_pages])
    np.testing.assert_array_equal(
        read_picture(three_pages, None, chosen), BANDS[..., :3].astype(np.uint16) * 257
    )


@pytest.mark.parametrize("pixels", [FIVE, Pixels(2, 16)])
def test_another_number_of_pages_than_channels_is_refused(three_pages, pixels):
    with pytest.raises(
        InputError, match=rf"three\.tif: it has 3 pages, and data\.channels is {pixels.channels}$"
    ):
        read_picture(three_pages, None, pixels)


@pytest.mark.parametrize("pixels", [RGB, GREY, DEEP])
def test_grey_or_rgb_takes_the_first_page(three_pages, pixels):
    found = read_picture(three_pages, None, pixels)
    np.testing.assert_array_equal(
        found // (257 if pixels == DEEP else 1), BANDS[..., :1].repeat(pixels.channels, 2)
    )


@pytest.mark.parametrize(
    ("name", "pixels"),
    [
        ("deep.png", DEEP),
        ("colour.png", Pixels(3, 16)),
        ("pages.tif", FIVE),
        ("bands.npy", FIVE),
        (STAMP, DEEP),
        (STAMP, Pixels(3, 16)),
    ],
)
def test_the_prepare_py_of_an_export_reads_the_same(files, name, pixels):
    path, at_least = files.get(name, name), 16
    found = fit(read_planes(path, at_least, pixels.channels), pixels.channels, pixels.bits)
    np.testing.assert_array_equal(found, read_picture(path, at_least, pixels))


def test_the_prepare_py_of_an_export_refuses_other_pages(files, three_pages):
    assert read_planes(three_pages, 64, 1).shape == (30, 40, 1)
    with pytest.raises(AssertionError, match="it has 3 pages, and the network 5 channels"):
        read_planes(three_pages, 64, 5)


def test_an_archive_of_arrays_is_no_picture(tmp_path):
    np.savez(tmp_path / "some.npz", BANDS)
    (tmp_path / "some.npz").rename(tmp_path / "some.npy")
    with pytest.raises(InputError, match=r"some\.npy: the magic string is not correct"):
        read_picture(tmp_path / "some.npy", None, FIVE)


def test_other_channels_than_those_of_the_run_are_refused(files):
    with pytest.raises(InputError, match=r"bands\.npy: it has 5 channels, and data\.channels is 3"):
        read_picture(files["bands.npy"])


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((4, 5), dtype=np.float32), "its values are float32, not uint8 or uint16: scale them"),
        (np.zeros((2, 3, 4, 5), dtype=np.uint8), r"its array is \[2, 3, 4, 5\], not \[height, width\]"),
        (np.array([{"code": "run"}]), "Array can't be memory-mapped: Python objects in dtype"),
    ],
)
def test_an_array_of_another_kind_is_refused(tmp_path, array, said):
    np.save(tmp_path / "odd.npy", array)
    with pytest.raises(InputError, match=rf"odd\.npy: .*({said})"):
        read_picture(tmp_path / "odd.npy", None, GREY)


def test_a_cut_array_is_refused(files, tmp_path):
    (tmp_path / "cut.npy").write_bytes(Path(files["bands.npy"]).read_bytes()[:-7])
    with pytest.raises(InputError, match=r"cut\.npy: "):
        read_picture(tmp_path / "cut.npy", None, FIVE)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["deep.png"], DEEP),
        (["colour.png"], Pixels(3, 16)),
        (["pages.tif", "bands.npy"], FIVE),
        ([STAMP], RGB),
    ],
)
def test_auto_is_what_loses_nothing(files, names, expected):
    assert choose_pixels("auto", "auto", [files.get(name, name) for name in names]) == expected


def test_auto_is_rgb_for_grey_pictures_as_it_was(tmp_path):
    Image.fromarray(noise(9, 9)[..., 0]).save(tmp_path / "grey.png")
    assert choose_pixels("auto", "auto", [str(tmp_path / "grey.png")]) == RGB


def test_8_bits_make_of_16_what_they_were_before(files):
    assert choose_pixels("auto", 8, [files["deep.png"]]) == RGB


def test_auto_is_rgb_where_only_some_have_16_bits_and_says_so(files, caplog):
    with caplog.at_level(logging.WARNING):
        assert choose_pixels("auto", "auto", [files["deep.png"], STAMP]) == RGB
    assert "1 channel of 16 bits and 3 channels of 8 bits: all are read as 3 channels of 8" in caplog.text


def test_auto_says_how_to_read_the_files_as_most_of_them_are(files, three_pages, caplog):
    choose_pixels("auto", "auto", [files["bands.npy"], three_pages, files["pages.tif"]])
    assert "; data.channels=5 data.bits=8 reads them as most are" in caplog.text


def test_the_stores_of_rgb_pictures_are_found_under_the_keys_that_they_had():
    spec = StoreSpec(64, 96, "crop", "raw")
    decoders = {name: version(name) for name in ("pillow", "torch")}
    old = content_key(version=_VERSION, files="abc", size=64, side=96, resize="crop", form="raw", **decoders)
    assert _key("abc", spec) == old
    assert _key("abc", spec._replace(pixels=GREY)) != old


def test_a_grey_store_takes_a_third(tmp_path):
    kept = caching(tmp_path / "cache", cache="raw")
    grey, rgb = (kept.stores([STAMP], {64: 96}, "crop", pixels)[64] for pixels in (GREY, RGB))
    assert 3 * grey.num_bytes == rgb.num_bytes


@pytest.mark.parametrize(("cache", "limit"), [("raw", 0), ("jpeg", 6)])
def test_a_grey_store_gives_what_its_files_give(tmp_path, cache, limit):
    stored = caching(tmp_path / "cache", cache=cache).stores([STAMP], {64: 96}, "crop", GREY)[64]
    file = PictureDataset([STAMP], np.zeros(1, int), SIDE_ON, "crop", 1.0, 0, pixels=GREY)
    data = PictureDataset([STAMP], np.zeros(1, int), SIDE_ON, "crop", 1.0, 0, pixels=GREY)
    data.stores = {64: stored}
    asked = Request(np.zeros(4, int), np.arange(4), epoch=0, size=64)
    one, two = (each[asked].images.short() for each in (file, data))
    assert one.shape == (4, 1, 64, 64)
    assert (one - two).abs().max() <= limit


def test_views_of_five_channels_on_a_device_are_nearly_those_of_the_cpu(tmp_path):
    path = str(tmp_path / "five.npy")
    np.save(path, np.dstack([smooth(70, 80), smooth(70, 80)[..., :2]]))
    stored = caching(tmp_path / "cache", cache="raw").stores([path], {32: 64}, "crop", FIVE)[32]
    data = PictureDataset([path], np.zeros(1, int), SIDE_ON, "crop", 1.0, 0, pixels=FIVE)
    data.stores = {32: stored}
    asked = Request(np.zeros(4, int), np.arange(4), epoch=0, size=32)
    on_device = DeviceStore(stored, data.viewing, data.labels, torch.device("cpu")).render(asked)
    assert (on_device.images.float() - data[asked].images.float()).abs().mean() < 0.5


def test_16_bits_are_shrunk_as_8_are():
    picture = smooth(90, 120)
    deep = shrink(picture.astype(np.uint16) * 257, 40, 30)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - shrink(picture, 40, 30)).max() <= 1


@pytest.mark.parametrize(("brightness", "contrast"), [(0.1, 1.0), (0.0, 1.2), (-0.05, 0.9)])
def test_16_bits_are_lit_as_8_are(brightness, contrast):
    picture = smooth(20, 20)
    mean = float(picture.mean())
    (table,) = lighting_tables(np.array([brightness]), np.array([contrast]), np.array([mean]), "linear")
    deep = picture.astype(np.uint16) * 257
    light_16(deep, brightness, contrast, 257 * mean, 65535.0)
    light(picture, table)
    assert np.abs(deep / 257 - picture).max() <= 0.51


def test_mean_and_spread_are_those_of_all_pixels(files):
    found = measured(FIVE, [files["bands.npy"]])
    assert found.mean == pytest.approx((BANDS / 255).mean(axis=(0, 1)))
    assert found.std == pytest.approx((BANDS / 255).std(axis=(0, 1)))


def test_those_of_photos_and_grey_are_left_to_the_weights():
    assert measured(GREY, [STAMP]) == GREY
    assert measured(RGB, [STAMP]) == RGB


def test_what_is_shown_of_16_bits_goes_from_black_to_white():
    seen = shown(np.array([[[0x4000], [0x4080], [0x40FF]]], dtype=np.uint16))
    assert seen.tolist() == [[[0] * 3, [128] * 3, [255] * 3]]


def test_any_file_is_shown_as_rgb(files):
    assert {read_shown(path).shape for path in files.values()} == {(30, 40, 3)}


def test_pictures_that_differ_in_the_low_byte_are_not_the_same(tmp_path):
    for name, values in (("one", VALUES), ("two", VALUES ^ 1)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    one, two = (inspect_picture(str(tmp_path / f"{name}.png")) for name in ("one", "two"))
    assert one.pixels != two.pixels


def test_an_array_is_inspected(files):
    found = inspect_picture(files["bands.npy"])
    assert (found.width, found.height, found.format, found.mode) == (40, 30, "NPY", "uint8 x 5")


def test_arrays_are_pictures_where_there_are_no_others(tmp_path):
    np.save(tmp_path / "a.npy", BANDS)
    assert read_folder(str(tmp_path)).pictures == ["a.npy"]
    Image.fromarray(noise(9, 9)).save(tmp_path / "b.png")
    found = read_folder(str(tmp_path))
    assert (found.pictures, found.others) == (["b.png"], ["a.npy"])


@pytest.mark.parametrize(
    ("pixels", "augmentation", "kept", "device_store", "said"),
    [
        (GREY, replace(SIDE_ON, extra=AutoAugment("rand-m9")), "auto", "auto", "transforms.extra: AutoAug"),
        (DEEP, preset("fastai2"), "auto", "auto", "transforms.lighting=logit needs"),
        (FIVE, SIDE_ON, "jpeg", "auto", "data.cache=jpeg: a JPEG holds no 5 channels of 8 bits: give"),
        (DEEP, SIDE_ON, "raw", "on", "data.device_store=on: the pictures have 16 bits: set data.bits=8"),
    ],
)
def test_what_makes_no_sense_for_the_pictures_is_refused(
    tmp_path, pixels, augmentation, kept, device_store, said
):
    with pytest.raises(InputError, match=f"^{said}"):
        check_pixels(pixels, augmentation, caching(tmp_path, cache=kept), device_store)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 10**9},
        {"channels": "3"},
        {"bits": 12},
        {"mean": [0.5]},
        {"mean": [0.5, float("nan")], "std": [1, 1]},
        {"mean": [0.5, 0.5], "std": [1, 0]},
        {"mean": [0.5, 0.5], "std": None},
    ],
)
def test_a_file_of_pixels_that_was_changed_is_refused(change):
    plain = {"channels": 2, "bits": 16, "mean": [0.5, 0.5], "std": [0.1, 0.1]}
    assert pixels_from(plain, "pixels.json") == Pixels(2, 16, (0.5, 0.5), (0.1, 0.1))
    with pytest.raises(InputError, match=r"^pixels\.json: channels, bits, mean and std are none"):
        pixels_from(plain | change, "pixels.json")


def test_a_store_of_16_bits_holds_them(tmp_path, files):
    stored = caching(tmp_path / "cache").stores([files["deep.png"]], {64: 96}, "crop", DEEP)[64]
    np.testing.assert_array_equal(open_store(stored).read(0).pixels, VALUES[..., None])


@pytest.mark.parametrize(("channels", "bits"), [(4, 8), (4, 16), (2, 8)])
def test_bands_side_by_side_in_a_page_are_refused_where_all_are_asked_for(tmp_path, channels, bits):
    Image.new("RGBX", (5, 4)).save(tmp_path / "bands.tif")
    with pytest.raises(InputError, match=r"bands\.tif: of the bands of its page only .* save all of them as"):
        read_picture(tmp_path / "bands.tif", None, Pixels(channels, bits))


def test_signed_bytes_are_refused_instead_of_taken_for_unsigned_ones(tmp_path):
    Image.new("L", (5, 4), 200).save(tmp_path / "signed.tif", tiffinfo={339: 2})
    with pytest.raises(InputError, match=r"signed\.tif: its bytes are signed, from -128 to 127: save"):
        read_picture(tmp_path / "signed.tif")
