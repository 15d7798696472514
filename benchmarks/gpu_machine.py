"""What the figures were measured on, and the pictures that they were measured with."""

import fcntl
import os
import platform
import shutil
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gpu_jobs import Rows, Setting
from pictures import draw_pictures, find_pictures

from imageclf.system.machine import available_cores

STAMPS = Path(__file__).parents[1] / "data" / "stamps"
PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "triton",
    "fastai",
    "numpy",
    "pillow",
    "opencv-python-headless",
)
# Every so manieth stamp is one to predict.
_TEST = 5


def describe(setting: Setting) -> Rows:
    """Name the machine and the versions of what counts.

    Raises:
        RuntimeError: there is no GPU.
    """
    import torch

    if setting.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("torch finds no GPU with CUDA; --device cpu --quick tries the script")
    yield "python", {"version": platform.python_version(), "cores": available_cores()}
    yield "packages", {name: _version(name) for name in PACKAGES}
    if setting.device == "cuda":
        card = torch.cuda.get_device_properties(0)
        yield "card", {"GiB": card.total_memory / 2**30, "CUDA": str(torch.version.cuda), "name": card.name}


def copy_stamps(setting: Setting) -> None:
    """Copy the demo's pictures apart, into those to train with and those to predict."""
    if setting.stamps.exists():
        return
    for number, path in enumerate(sorted(STAMPS.glob("*/*.jpg"))):
        folder = setting.stamps / ("test" if number % _TEST == 0 else "train") / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)


def draw(setting: Setting) -> Rows:
    """Draw the pictures, unless they are there."""
    started = time.perf_counter()
    count = len(find_pictures(drawn_pictures(setting)))
    yield "pictures", {"pictures": count, "seconds": time.perf_counter() - started}


def drawn_pictures(setting: Setting) -> Path:
    """Return class folders of JPEGs of about 500 x 375 pixels; the first job that asks draws them."""
    folder = setting.folder / "pictures"
    with (setting.folder / "pictures.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _draw(setting.folder / "drawn", folder, *((48, 1) if setting.quick else (1600, 8)))
    return folder


def _draw(drawn: Path, folder: Path, count: int, names: int) -> None:
    """Draw pictures, and give each several names: a file to decode and a row of a store for each."""
    if not drawn.exists():
        draw_pictures(drawn, count, processes=available_cores())
    part = folder.with_suffix(".part")
    for path in find_pictures(drawn):
        (part / path.parent.name).mkdir(parents=True, exist_ok=True)
        for number in range(names):
            os.link(path, part / path.parent.name / f"{path.stem}-{number}.jpg")
    part.replace(folder)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
