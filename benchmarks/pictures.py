"""Pictures to read: drawn JPEGs with the statistics of photos, in class folders."""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

NUM_CLASSES = 10
SIZES = ((500, 375), (500, 333), (375, 500), (500, 375), (333, 500), (500, 400), (480, 360))
"""(width, height) in pixels, in turn."""
SUFFIXES = (".jpg", ".jpeg", ".png")

Floats = NDArray[np.float64]


def find_pictures(folder: Path) -> list[Path]:
    """Return the pictures in the class folders of a folder, sorted."""
    return sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)


def draw_pictures(folder: Path, count: int, seed: int = 0, processes: int | None = None) -> None:
    """Draw JPEGs of 60 to 110 KB into class folders, in parallel; a folder that is there is whole.

    Args:
        folder: is made; it may exist only if it is empty.
        count: of pictures, NUM_CLASSES at the least.
        seed: with its number it decides a picture, whoever draws it.
        processes: that draw; None: as many as the machine has cores.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Renamed at the end, so that drawings that were cut short are never taken for all.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".drawing-") as temporary:
        part = Path(temporary) / folder.name
        for number in range(NUM_CLASSES):
            (part / f"class{number}").mkdir(parents=True)
        with ProcessPoolExecutor(processes or os.cpu_count(), mp_context=get_context("spawn")) as pool:
            drawn = pool.map(partial(_draw_file, part, seed), range(count), chunksize=16)
            list(track(drawn, "Drawing pictures", total=count, console=Console(stderr=True)))
        part.replace(folder)


def link_pictures(pictures: list[Path], count: int, folder: Path) -> None:
    """Link `count` of the pictures, spread evenly over all, into class folders of a new folder."""
    for index in np.linspace(0, len(pictures), count, endpoint=False).astype(int):
        source = pictures[index]
        (folder / source.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / source.parent.name / source.name).symlink_to(source.resolve())


def draw_picture(generator: np.random.Generator, width: int, height: int) -> Image.Image:
    """Return a picture with the 1/f spectrum, the edges and the correlated channels of a photo."""
    luma = _texture(generator, width, height, slope=1.25)
    for _ in range(generator.integers(4, 9)):
        luma = np.where(_ellipse(generator, width, height), 0.6 * luma + generator.normal(0, 1), luma)
    # Colour changes slowly in photos, and far less than light does.
    colours = [0.35 * _texture(generator, width, height, slope=1.8) for _ in range(3)]
    scene = np.stack([luma + colour - np.mean(colours, axis=0) for colour in colours], axis=-1)
    grain = generator.normal(0, 2.0, (height, width, 1))
    pixels = generator.uniform(100, 140) + generator.uniform(44, 56) * scene + grain
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _draw_file(folder: Path, seed: int, number: int) -> None:
    generator = np.random.default_rng([seed, number])
    picture = draw_picture(generator, *SIZES[number % len(SIZES)])
    path = folder / f"class{number % NUM_CLASSES}" / f"{number:05d}.jpg"
    picture.save(path, quality=int(generator.integers(91, 95)))


def _texture(generator: np.random.Generator, width: int, height: int, slope: float) -> Floats:
    """Return noise whose amplitude falls with the frequency as f^-slope; mean 0, deviation 1."""
    spectrum = np.fft.rfft2(generator.normal(size=(height, width)))
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(spectrum * frequency**-slope, s=(height, width))
    return np.asarray(noise / noise.std(), dtype=np.float64)


def _ellipse(generator: np.random.Generator, width: int, height: int) -> NDArray[np.bool_]:
    """Return where a random ellipse lies, `[H, W]`."""
    x, y = generator.uniform(0, width), generator.uniform(0, height)
    angle, (long, short) = generator.uniform(0, np.pi), generator.uniform(0.05, 0.35, 2) * width
    rows, columns = np.mgrid[:height, :width]
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    return np.asarray((along / long) ** 2 + (across / short) ** 2 < 1)
