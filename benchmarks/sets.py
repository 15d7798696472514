"""Small sets of labelled pictures out of packages: `python benchmarks/sets.py FOLDER` writes them all there.

Nothing is downloaded but Debian packages, by `apt-get download`, which needs no root.
"""

import argparse
import gzip
import io
import json
import subprocess
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

STAMPS = Path(__file__).parents[1] / "data" / "stamps"
STICKERS = {
    "creatures": ("animals/insects", "animals/fish", "animals/amphibians", "animals/shellfish"),
    "houses": ("town/houses",),
    "money": ("symbols/money",),
    "signs": ("town/roadsigns",),
    "christmas": ("seasonal/christmas",),
    "halloween": ("seasonal/halloween",),
    "tools": ("household/tools", "household/dishes"),
}
"""Classes of Tux Paint's stamps that data/stamps has nothing of."""
TEXTURES = ("base_floor", "base_light", "base_wall", "gothic_block", "gothic_trim", "proto2", "sfx", "skies")
"""Folders of OpenArena's textures."""
GLYPHS = "ABEGKRSagkqs"

Labelled = Iterator[tuple[str, Image.Image]]


class PictureSet(NamedTuple):
    """A set of pictures.

    Args:
        draw: yields (class, picture), in a fixed order.
        valid_pct: share to hold out; of all but `many-` sets 60 to 240 pictures remain.
        like_imagenet: whether what the backbone has learnt fits.
        source: where the pictures are from.
    """

    draw: Callable[[], Labelled]
    valid_pct: float
    like_imagenet: bool
    source: str


def make_set(name: str, cache: Path) -> Path:
    """Return the folder that holds the class folders of a set; it is written once.

    Raises:
        FileNotFoundError: a Debian package is neither installed nor to be had.
    """
    if name == "stamps":
        return STAMPS
    folder = cache / name
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        # Renamed at the end, so that what was cut short is never taken for a set.
        with tempfile.TemporaryDirectory(dir=cache, prefix=".drawing-") as temporary:
            part = Path(temporary) / name
            for number, (label, picture) in enumerate(SETS[name].draw()):
                (part / label).mkdir(parents=True, exist_ok=True)
                picture.convert("RGB").save(part / label / f"{number:04d}.png")
            part.replace(folder)
    return folder


def draw_stamps() -> Labelled:
    """Yield the demo's pictures."""
    for path in sorted(STAMPS.glob("*/*.jpg")):
        yield path.parent.name, Image.open(path)


def first_of(draw: Callable[[], Labelled], most: int) -> Labelled:
    """Yield so many pictures of each class at most."""
    drawn: Counter[str] = Counter()
    for label, picture in draw():
        drawn[label] += 1
        if drawn[label] <= most:
            yield label, picture


def draw_stickers() -> Labelled:
    """Yield those stamps of Tux Paint that the demo lacks, on white, at most 256 pixels a side."""
    with tempfile.TemporaryDirectory() as temporary:
        root = debian_files("tuxpaint-stamps-default", Path(temporary)) / "usr/share/tuxpaint/stamps"
        for label, places in STICKERS.items():
            for path in sorted(path for place in places for path in (root / place).rglob("*.png")):
                stamp = Image.open(path).convert("RGBA")
                stamp.thumbnail((256, 256))
                yield label, Image.alpha_composite(Image.new("RGBA", stamp.size, "white"), stamp)


def draw_textures() -> Labelled:
    """Yield walls, floors, lights, skies of a game, at most 256 pixels a side, 40 of a kind."""
    with tempfile.TemporaryDirectory() as temporary:
        root = debian_files("openarena-081-textures", Path(temporary)) / "usr/share/games/openarena"
        with zipfile.ZipFile(root / "baseoa/pak4-textures.pk3") as pack:
            names = sorted(name for name in pack.namelist() if name.lower().endswith((".jpg", ".tga")))
            for label in TEXTURES:
                for name in [name for name in names if name.startswith(f"textures/{label}/")][:40]:
                    picture = Image.open(io.BytesIO(pack.read(name))).convert("RGB")
                    picture.thumbnail((256, 256))
                    yield label, picture


def draw_digits() -> Labelled:
    """Yield 400 of scikit-learn's handwritten digits, 8 x 8 pixels, enlarged to 64."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for pixels, label in zip(digits.images[:400], digits.target[:400], strict=True):
        grey = Image.fromarray(np.uint8(255 - 15.9375 * pixels))
        yield f"digit{label}", grey.resize((64, 64), Image.Resampling.BICUBIC)


def draw_fashion(count: int = 400, part: str = "t10k") -> Labelled:
    """Yield the first of Zalando's Fashion-MNIST pictures, 28 x 28 pixels, enlarged to 64.

    The part `t10k` has 10,000 of them, `train` 60,000.
    """
    with tempfile.TemporaryDirectory() as temporary:
        root = debian_files("dataset-fashion-mnist", Path(temporary)) / "usr/share/datasets/fashion-mnist"
        images, labels = (_idx(root / f"{part}-{what}-ubyte.gz") for what in ("images-idx3", "labels-idx1"))
    for pixels, label in zip(images[:count], labels[:count], strict=True):
        yield f"kind{label}", Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)


def draw_glyphs() -> Labelled:
    """Yield 30 drawings of each letter: any of matplotlib's DejaVu fonts, turned, on a wavy ground."""
    from matplotlib import get_data_path

    fonts = sorted(Path(get_data_path(), "fonts", "ttf").glob("DejaVuS*.ttf"))
    fonts = [font for font in fonts if "Display" not in font.name]
    generator = np.random.default_rng(0)
    for letter in GLYPHS:
        for _ in range(30):
            # The case is in the name: some file systems do not tell a from A.
            yield f"{'upper' if letter.isupper() else 'lower'}-{letter}", _glyph(letter, fonts, generator)


def debian_files(package: str, temporary: Path) -> Path:
    """Return the root of a Debian package's files: / if it is installed, else unpacked below `temporary`."""
    listed = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return Path("/")
    try:
        subprocess.run(["apt-get", "download", package], cwd=temporary, capture_output=True, check=True)
        (archive,) = temporary.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, temporary / "root"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise FileNotFoundError(f"{package}: apt-get install it; it could not be downloaded") from error
    return temporary / "root"


def _idx(path: Path) -> NDArray[np.uint8]:
    """Return an array in the format of MNIST; http://yann.lecun.com/exdb/mnist/ describes it."""
    content = gzip.decompress(path.read_bytes())
    shape = np.frombuffer(content, ">u4", content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def _glyph(letter: str, fonts: Sequence[Path], generator: np.random.Generator) -> Image.Image:
    rows, columns = np.mgrid[:64, :64] / 64
    waves = generator.uniform(-20, 20, (3, 2))
    ground = np.stack([np.sin(rows * a + columns * b) for a, b in waves], axis=-1)
    picture = Image.fromarray(np.uint8(128 + 60 * ground))
    font = ImageFont.truetype(fonts[int(generator.integers(len(fonts)))], int(generator.integers(28, 48)))
    mask = Image.new("L", (64, 64))
    place = tuple(generator.uniform(24, 40, 2))
    ImageDraw.Draw(mask).text(place, letter, fill=255, font=font, anchor="mm")
    mask = mask.rotate(generator.uniform(-40, 40), Image.Resampling.BICUBIC)
    ink = tuple(int(value) for value in generator.choice([0, 255], 3))
    picture.paste(ink, mask=mask)
    return picture


SETS = {
    "stamps": PictureSet(draw_stamps, 0.2, True, "data/stamps"),
    "stickers": PictureSet(draw_stickers, 0.3, True, "Debian's tuxpaint-stamps-default"),
    "textures": PictureSet(draw_textures, 0.35, True, "Debian's openarena-081-textures"),
    "digits": PictureSet(draw_digits, 0.5, False, "scikit-learn"),
    "fashion": PictureSet(draw_fashion, 0.5, False, "Debian's dataset-fashion-mnist"),
    "few-stamps": PictureSet(partial(first_of, draw_stamps, 27), 0.61, True, "data/stamps, 60 to train on"),
    "few-digits": PictureSet(
        partial(first_of, draw_digits, 16), 0.625, False, "scikit-learn, 60 to train on"
    ),
    "many-fashion": PictureSet(
        partial(draw_fashion, 2_200), 0.1, False, "Debian's dataset-fashion-mnist, 1,980 to train on"
    ),
    # Fashion-MNIST has 60,000 pictures to train on as well, so these are none of the other sets'.
    "many-fashion-10k": PictureSet(
        partial(draw_fashion, 11_111, "train"),
        0.1,
        False,
        "Debian's dataset-fashion-mnist, 10,000 to train on",
    ),
    "glyphs": PictureSet(draw_glyphs, 0.5, False, "drawn with matplotlib's fonts"),
}

SMALL = tuple(name for name in SETS if not name.startswith("many-"))


def main() -> None:
    """Write the sets; the last line of the output is one of JSON with the number of pictures of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for name in options.sets:
        folder = make_set(name, options.folder)
        classes = {path.name: len(list(path.iterdir())) for path in sorted(folder.iterdir()) if path.is_dir()}
        figures[name] = {"pictures": sum(classes.values()), "classes": len(classes)}
        print(f"{name}: {figures[name]['pictures']} pictures, {classes}, {SETS[name].source}", flush=True)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
