"""What the pixels of a run are: kept in its directory, checked against its config, told to its network."""

from dataclasses import replace
from pathlib import Path

from imageclf import InputError
from imageclf.configs.saved.untrusted import read_object
from imageclf.data import Augmentation, AutoAugment, Caching, Loading
from imageclf.data.device_choice import DeviceStoring, likely_form, obstacle_of, refused
from imageclf.data.pictures.pixels import RGB, Pixels, pixels_from
from imageclf.model.backbone import DataConfig
from imageclf.system.files import write_json

FILE = "pixels.json"
"""In the directory of a run whose pictures are not RGB of 8 bits: channels, bits, mean and std."""


def save_pixels(pixels: Pixels, run_dir: Path) -> None:
    """Write what a run's pictures are decoded to, unless it is RGB of 8 bits."""
    if not pixels.is_rgb:
        write_json(run_dir / FILE, pixels.plain())


def load_pixels(run_dir: Path) -> Pixels:
    """Return what a run's pictures are decoded to; RGB where nothing is written, as in older runs.

    Raises:
        InputError: the file holds something else.
    """
    path = run_dir / FILE
    return pixels_from(read_object(path), str(path)) if path.is_file() else RGB


def given_pixels(loading: Loading) -> Pixels:
    """Return what a config says of the pixels; auto is RGB of 8 bits, as long as the files are unknown."""
    channels, bits = loading.channels, loading.bits
    return Pixels(RGB.channels if channels == "auto" else channels, RGB.bits if bits == "auto" else bits)


def check_pixels(
    pixels: Pixels, augmentation: Augmentation, caching: Caching, device_store: DeviceStoring
) -> None:
    """Refuse what makes no sense for a run's pictures, before they are read."""
    if isinstance(augmentation.extra, AutoAugment) and not pixels.is_rgb:
        raise InputError(
            f"transforms.extra: AutoAugment changes colours of RGB pictures of 8 bits, and these have "
            f"{pixels}: give transforms.extra=null, or data.channels=3 data.bits=8"
        )
    if augmentation.lighting == "logit" and augmentation.max_lighting > 0 and pixels.bits == 16:
        raise InputError(
            "transforms.lighting=logit needs pictures whose white is known, and of 16 bits it is not: give "
            "transforms.lighting=linear, transforms.max_lighting=0 or data.bits=8"
        )
    if caching.cache == "jpeg" and not pixels.takes_jpeg:
        raise InputError(f"data.cache=jpeg: a JPEG holds no {pixels}: give data.cache=auto or raw")
    obstacle = obstacle_of(likely_form(caching.cache), augmentation, pixels.bits)
    if device_store == "on" and obstacle is not None:
        raise refused(obstacle)


def normalised(expects: DataConfig, pixels: Pixels) -> DataConfig:
    """Return what a backbone's weights expect of a picture, with the mean and spread of a run's pixels.

    Grey is normalised by the mean of the three colours: folded weights add up what these would give.

    `expects` is for three channels, or, of a network of one's own, for those of the run.
    """
    if pixels.mean is not None and pixels.std is not None:
        return replace(expects, mean=pixels.mean, std=pixels.std)
    if pixels.channels == len(expects.mean):
        return expects
    mean, std = (sum(each) / len(each) for each in (expects.mean, expects.std))
    return replace(expects, mean=(mean,) * pixels.channels, std=(std,) * pixels.channels)
