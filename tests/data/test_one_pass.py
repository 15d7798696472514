"""Pictures are decoded once for the check and every store, and the stores' bytes are those of one process."""

import io
import json
import random
from collections import Counter
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from presets import caching, noise, smooth, write_noise

from imageclf import InputError
from imageclf.data.pictures import decode, shrinking, store
from imageclf.data.pictures.cache import entries
from imageclf.data.pictures.decode import read_picture, read_scales
from imageclf.data.pictures.verify import unreadable
from imageclf.data.views.geometry import shrink, stored_size
from imageclf.system.conventions import CACHE_TAG

FILES = ("pixels.bin", "index.npy")
# Of pictures of 700 x 1000: their files are decoded whole, at a half, at a quarter.
SIDES = {224: 280, 128: 160, 64: 96}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Write 60 pictures of many kinds and shapes: noise, large JPEGs, one on its side, grey, narrow, tiny."""
    folder = tmp_path_factory.mktemp("kinds")
    shapes = [(40, 40), (400, 600), (600, 400), (3, 900), (900, 3), (1, 1), (300, 210), (5, 2000)]
    written = write_noise(folder, [shapes[index % len(shapes)] for index in range(40)])
    for index in range(16):
        picture = Image.fromarray(np.roll(smooth(700, 1000), 40 * index, axis=1))
        picture.save(folder / f"large{index}.jpg", progressive=index % 2 == 0)
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.fromarray(smooth(300, 500)).save(folder / "side.jpg", exif=tags)
    Image.fromarray(smooth(200, 333)).convert("L").save(folder / "grey.png")
    Image.fromarray(smooth(900, 700)).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(smooth(640, 640)).save(folder / "square.webp")
    more = (*(f"large{index}.jpg" for index in range(16)), "side.jpg", "grey.png", "cmyk.jpg", "square.webp")
    return [*written, *(str(folder / name) for name in more)]


@pytest.fixture
def use(monkeypatch):
    """Return a function that sets how many processes decode."""
    return lambda processes: monkeypatch.setattr(shrinking, "num_processes", lambda paths: processes)


@pytest.fixture
def decoded(monkeypatch):
    """Count the decodings of this process, by file."""
    counted = Counter()

    def count(image):
        counted[image.filename] += 1
        return original(image)

    original = decode.decoded
    monkeypatch.setattr(decode, "decoded", count)
    return counted


def reference(paths, size, side, resize, form):
    """Make the files of a store, one picture after the other, as they have been since the first version."""
    pixels, index = io.BytesIO(), []
    for path in paths:
        picture = read_picture(path, at_least=max(side, 2 * size))
        height, width = picture.shape[:2]
        small = shrink(picture, *stored_size(width, height, side, resize))
        content = small.tobytes()
        if form == "jpeg":
            written = io.BytesIO()
            Image.fromarray(small).save(written, "JPEG", quality=95, subsampling=0)
            content = written.getvalue()
        index.append((pixels.tell(), len(content), small.shape[0], small.shape[1], width, height))
        pixels.write(content)
    saved = io.BytesIO()
    np.save(saved, np.array(index, dtype=np.int64))
    return {"pixels.bin": pixels.getvalue(), "index.npy": saved.getvalue()}


def key_since_checksums(paths, size, side, resize, form):
    """Return the name of a store as caches that users have know it."""
    digest = sha256(b"stat")
    # Files are looked at in sixteen parts.
    for path in paths:
        status = Path(path).stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n".encode())
    parts = {"version": 2, "files": digest.hexdigest(), "size": size, "side": side, "resize": resize}
    parts |= {"form": form, "pillow": version("pillow"), "torch": version("torch")}
    return sha256(json.dumps([2, parts], sort_keys=True).encode()).hexdigest()[:32]


def contents(folder):
    """Return the bytes of a store's files."""
    return {name: (folder / name).read_bytes() for name in FILES}


def names(root):
    """Return the names of all files and folders of a cache but for its locks."""
    found = [
        str(path.relative_to(root)) for path in root.rglob("*") if path.suffix not in (".lock", ".build")
    ]
    return sorted(found)


@pytest.mark.parametrize("form", ["raw", "jpeg"])
@pytest.mark.parametrize("resize", ["crop", "pad"])
@pytest.mark.sampled(3)
def test_stores_are_those_of_one_process_whoever_makes_them(paths, tmp_path, use, form, resize):
    expected = {size: reference(paths, size, side, resize, form) for size, side in SIDES.items()}
    for processes in (0, 1, 2, 3):
        use(processes)
        kept = caching(tmp_path / str(processes), cache=form)
        stores = kept.stores(paths, SIDES, resize)
        assert {size: contents(each.folder) for size, each in stores.items()} == expected


@pytest.mark.parametrize("form", ["raw", "jpeg"])
@pytest.mark.parametrize("processes", [0, 1, 2, 3])
@pytest.mark.sampled(3)
def test_stores_made_with_the_check_are_the_same(paths, tmp_path, use, form, processes):
    use(processes)
    kept = caching(tmp_path, cache=form)
    assert unreadable(paths, kept, SIDES, "crop") == {}
    stores = {entry.about["size"]: entry.folder for entry in entries(tmp_path) if entry.kind == "pictures"}
    expected = {size: reference(paths, size, side, "crop", form) for size, side in SIDES.items()}
    assert {size: contents(folder) for size, folder in stores.items()} == expected


def test_a_store_is_found_by_the_name_that_it_has_had_since_there_are_checksums(paths, tmp_path):
    folder = caching(tmp_path, cache="raw").stores(paths, {64: 96}, "crop")[64].folder
    assert folder.name == key_since_checksums(paths, 64, 96, "crop", "raw")


def test_pictures_that_need_more_memory_than_there_is_for_a_part_are_stored_as_well(
    paths, tmp_path, use, monkeypatch
):
    expected = caching(tmp_path / "a", cache="raw").stores(paths, SIDES, "crop")
    use(2)
    monkeypatch.setattr(shrinking, "_CHUNK_BYTES", 2**16)
    stores = caching(tmp_path / "b", cache="raw").stores(paths, SIDES, "crop")
    assert [contents(stores[size].folder) == contents(expected[size].folder) for size in SIDES] == [True] * 3


def test_the_check_and_all_stores_of_a_scale_take_one_decoding(paths, tmp_path, decoded):
    large = [path for path in paths if "large" in path]
    kept = caching(tmp_path, cache="raw")
    # Down to 256 and 300 pixels a side: half of 700 suffices for both.
    assert unreadable(large, kept, {128: 256, 150: 300}, "crop") == {}
    assert set(kept.stores(large, {128: 256, 150: 300}, "crop")) == {128, 150}
    assert decoded == dict.fromkeys(large, 1) != {}


def test_stores_of_different_scales_take_one_decoding_each(paths, tmp_path, decoded):
    large = [path for path in paths if "large" in path]
    assert unreadable(large, caching(tmp_path, cache="raw"), SIDES, "crop") == {}
    assert decoded == dict.fromkeys(large, 3) != {}


def test_sizes_that_are_missing_later_take_one_decoding_together(paths, tmp_path, decoded):
    large = [path for path in paths if "large" in path]
    kept = caching(tmp_path, cache="raw")
    first = kept.stores(large, {150: 300}, "crop")
    decoded.clear()
    both = kept.stores(large, {128: 256, 140: 280, 150: 300}, "crop")
    assert decoded == dict.fromkeys(large, 1) and both[150] == first[150]
    assert len(list(entries(tmp_path))) == 3


def test_a_store_that_is_there_is_not_made_again_with_the_check(paths, tmp_path):
    kept = caching(tmp_path, cache="raw")
    before = kept.stores(paths, {64: 96}, "crop")[64].folder
    made = (before / "pixels.bin").stat().st_mtime_ns
    assert unreadable(paths, kept, {64: 96, 128: 160}, "crop") == {}
    assert (before / "pixels.bin").stat().st_mtime_ns == made
    assert len(list(entries(tmp_path))) == 3


def test_what_was_found_whole_is_not_decoded_for_its_stores_before_they_are_asked_for(
    paths, tmp_path, decoded
):
    kept = caching(tmp_path, cache="raw")
    unreadable(paths, kept)
    decoded.clear()
    assert unreadable(paths, kept, SIDES, "crop") == {}
    assert decoded == {}


@pytest.mark.parametrize("processes", [0, 2])
def test_a_broken_file_leaves_nothing_in_the_cache(paths, tmp_path, use, processes):
    use(processes)
    (tmp_path / "broken.jpg").write_bytes(Path(paths[-4]).read_bytes()[:900])
    (tmp_path / "page.png").write_text("<html>")
    mixed = [*paths[:30], str(tmp_path / "broken.jpg"), *paths[30:], str(tmp_path / "page.png")]
    faults = unreadable(mixed, caching(tmp_path / "cache", cache="raw"), SIDES, "crop")
    assert list(faults) == [30, 61]
    assert "broken.jpg: image file is truncated" in faults[30] and faults[61].endswith("not a picture")
    assert names(tmp_path / "cache") == [CACHE_TAG, "verified"]


@pytest.mark.parametrize("processes", [0, 2])
def test_a_file_that_breaks_after_the_check_is_named_and_leaves_no_store(paths, tmp_path, use, processes):
    use(processes)
    broken = tmp_path / "broken.png"
    broken.write_text("<html>")
    with pytest.raises(InputError, match=r"broken\.png: not a picture$"):
        caching(tmp_path / "cache", cache="raw").stores([*paths, str(broken)], SIDES, "crop")
    assert names(tmp_path / "cache") == [CACHE_TAG, "pictures"]


def test_without_a_cache_the_check_is_all_that_is_done(paths, tmp_path, use):
    use(2)
    kept = caching(tmp_path / "cache", cache="none")
    assert unreadable([*paths, "missing.jpg"], kept, SIDES, "crop").keys() == {len(paths)}
    assert not (tmp_path / "cache").exists()


def test_stores_that_do_not_fit_are_neither_made_nor_said_by_the_check(paths, tmp_path, caplog):
    kept = caching(tmp_path, cache_gb=1e-5)
    assert unreadable(paths, kept, SIDES, "crop") == {}
    assert [entry.kind for entry in entries(tmp_path)] == ["verified"]
    assert caplog.text == ""


def test_the_size_of_stores_is_reckoned_though_some_files_are_broken(paths, tmp_path):
    (tmp_path / "page.jpg").write_text("<html>")
    told = [store.raw_bytes(chosen, 160, "crop") for chosen in (paths, [*paths, str(tmp_path / "page.jpg")])]
    assert told[1] == pytest.approx(told[0] * 61 / 60, rel=1e-6)
    assert store.raw_bytes([str(tmp_path / "page.jpg")], 160, "crop") == 0


def damaged(content, draw):
    """Damage a file as downloads and disks do: cut short, some bytes changed, a stretch overwritten."""
    kind = draw.randrange(3)
    if kind == 0:
        return content[: draw.choice([draw.randrange(1, len(content)), len(content) - draw.randrange(1, 12)])]
    changed = bytearray(content)
    if kind == 1:
        for _ in range(draw.choice([1, 2, 8, 60])):
            changed[draw.randrange(2, len(changed))] = draw.randrange(256)
        return bytes(changed)
    start = draw.randrange(len(content))
    return content[:start] + draw.randbytes(draw.randrange(1, 4000)) + content[start + 2000 :]


def fault(path, at_least):
    """Return what is wrong with a file as it is decoded at a scale."""
    try:
        read_picture(path, at_least)
    except InputError as error:
        return str(error)
    return None


KINDS = {
    "jpg": [{}, {"progressive": True}, {"restart_marker_blocks": 8}, {"subsampling": 0, "quality": 95}],
    "png": [{}],
    "webp": [{}],
    "gif": [{}],
    "tif": [{}, {"compression": "tiff_lzw"}],
    "bmp": [{}],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", KINDS)
def test_a_damaged_file_has_the_same_fault_at_every_scale(tmp_path, suffix):
    draw, outcomes = random.Random(suffix), Counter()
    picture = Image.fromarray(np.clip(smooth(430, 610) // 2 + noise(430, 610) // 4, 0, 255))
    for mode in ("RGB", "L", "CMYK") if suffix == "jpg" else ("RGB",):
        for options in KINDS[suffix]:
            whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"damaged.{suffix}"
            picture.convert(mode).save(whole, **options)
            for _ in range(30):
                path.write_bytes(damaged(whole.read_bytes(), draw))
                faults = {fault(path, at_least) for at_least in (None, 200, 100, 50)}
                assert len(faults) == 1
                outcomes[faults == {None}] += 1
    assert outcomes[False] >= 8, "damage did not show"


@pytest.mark.parametrize("at_least", [[None], [224], [448, 256, 128, 60, 33], [60, None, 60, 448]])
def test_pixels_at_several_scales_are_those_at_each(paths, at_least):
    for path in paths:
        together = read_scales(path, at_least)
        for pixels, each in zip(together, at_least, strict=True):
            np.testing.assert_array_equal(pixels, read_picture(path, each), strict=True)
