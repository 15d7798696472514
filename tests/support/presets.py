"""What the tests of the data path share: the presets as they are shipped, drawn pictures, single views."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image

from imageclf.configs import CONF_DIR
from imageclf.data import Augmentation, Caching
from imageclf.data.views.augmentation import Picture, plain_views
from imageclf.data.views.geometry import Resize, maps, shrink, stored_side, stored_size, warp
from imageclf.training.run_config import build_augmentation

STAMPS = Path(__file__).parents[2] / "data" / "stamps"


def node(name: str) -> dict[str, Any]:
    """Return the keys of a file of conf/transforms, those that it inherits among them."""
    content: Any = OmegaConf.to_container(OmegaConf.load(Path(CONF_DIR, "transforms", f"{name}.yaml")))
    inherited: dict[str, Any] = {}
    for parent in content.pop("defaults", []):
        inherited |= {} if parent == "_self_" else node(parent)
    return inherited | content


def preset(name: str, **changes: Any) -> Augmentation:
    """Return a preset as it is shipped, but for the changes."""
    return build_augmentation(node(name) | changes)


SIDE_ON = preset("side_on")


def caching(root: Path, **changes: Any) -> Caching:
    """Return what the defaults keep, in a folder of the test."""
    options: dict[str, Any] = {"cache": "auto", "cache_gb": 20.0, "fingerprint": "stat"}
    return Caching(**(options | {"cache_dir": str(root)} | changes))


def noise(height: int, width: int, seed: int = 0) -> Picture:
    """Draw a picture in which no two places are alike."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height: int, width: int) -> Picture:
    """Draw a picture of slow waves, as resampling likes it."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17) * np.cos(y / 23), np.sin((x + y) / 29), np.cos(x / 31 - y / 19)]
    picture: Picture = np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)
    return picture


def write_noise(folder: Path, shapes: list[tuple[int, int]], suffix: str = "png") -> list[str]:
    """Write noisy pictures of (height, width), and return their paths."""
    paths = [folder / f"{index}.{suffix}" for index in range(len(shapes))]
    for index, path in enumerate(paths):
        Image.fromarray(noise(*shapes[index], seed=index)).save(path)
    return [str(path) for path in paths]


def map_of(
    width: int, height: int, size: int, resize: Resize, crop_pct: float = 1.0, **changes: Any
) -> NDArray[np.float64]:
    """Return the map of one view, plain but for the changes, from its pixels to those of a picture."""
    views = plain_views(1)._replace(**{name: np.array([value]) for name, value in changes.items()})
    shape = np.array([[width, height]], dtype=np.float64)
    return maps(shape, size, resize, views, np.array([crop_pct]))[0]


def seen(picture: Picture, size: int, resize: Resize = "crop", crop_pct: float = 1.0, **changes: Any) -> Any:
    """Show one view of a picture, plain but for the changes."""
    side = stored_side(size, resize, crop_pct=crop_pct)
    small = shrink(picture, *stored_size(picture.shape[1], picture.shape[0], side, resize))
    result = np.empty((size, size, 3), dtype=np.uint8)
    warp(small, map_of(small.shape[1], small.shape[0], size, resize, crop_pct, **changes), result)
    return result


def difference(one: NDArray[Any], two: NDArray[Any]) -> float:
    """Return the mean distance of two pictures in steps of 255."""
    return float(np.abs(one.astype(float) - two.astype(float)).mean())
