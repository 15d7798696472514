"""What the figures were measured on, and the pictures that they were measured with."""

import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gpu_jobs import Rows, Setting
from pictures import draw_pictures, find_pictures

from imageclf.machine import available_cores

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


def lay_out(setting: Setting) -> None:
    """Draw pictures where they are missing, give each several names, and copy the stamps apart."""
    drawn, names = (48, 1) if setting.quick else (1600, 8)
    if not setting.pictures.exists():
        draw_pictures(setting.folder / "drawn", drawn, processes=available_cores())
        # Each name is a file to decode and a row of a store; drawing takes longer than all the rest.
        for path in find_pictures(setting.folder / "drawn"):
            folder = setting.pictures / path.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(names):
                os.link(path, folder / f"{path.stem}-{number}.jpg")
    if not setting.stamps.exists():
        for number, path in enumerate(sorted(STAMPS.glob("*/*.jpg"))):
            folder = setting.stamps / ("test" if number % _TEST == 0 else "train") / path.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
