"""Pictures, maps and tables to resample by; run as a script, it does so in Triton's interpreter."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from imageclf.schedule.size import Oblong, PictureSize

# (width, height) of pictures of all kinds.
SHAPES = ((37, 50), (64, 64), (3, 90), (1, 1), (90, 3), (48, 20))


class Case(NamedTuple):
    """What `resample` takes."""

    pixels: Tensor
    places: Tensor
    maps: Tensor
    tables: Tensor
    size: PictureSize
    channels: int = 3


def turned(angle: float, scale: float, x: float, y: float, tilt: float = 0.0) -> list[float]:
    """Return a map that turns, scales, moves, and looks in perspective."""
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return [cos, -sin, x, sin, cos, y, tilt, -tilt / 2, 1.0]


def case(to_picture: list[float], size: PictureSize, seed: int = 0, channels: int = 3) -> Case:
    """Return a case of noisy pictures, one behind the other, each seen by the same map and lit by a table."""
    generator = np.random.default_rng(seed)
    lengths = [channels * width * height for width, height in SHAPES]
    offsets = np.cumsum([0, *lengths[:-1]])
    places = [(offset, *shape) for offset, shape in zip(offsets.tolist(), SHAPES, strict=True)]
    return Case(
        pixels=torch.from_numpy(generator.integers(0, 256, sum(lengths), dtype=np.uint8)),
        places=torch.tensor(places),
        maps=torch.tensor([to_picture] * len(SHAPES), dtype=torch.float32),
        tables=torch.from_numpy(generator.integers(0, 256, (len(SHAPES), 256), dtype=np.uint8)),
        size=size,
        channels=channels,
    )


CASES = {
    "as it is": case(turned(0, 1, 0, 0), 33),
    "half a pixel aside": case(turned(0, 1, 0.5, 0.5), 33),
    "turned": case(turned(0.3, 1.1, -4.3, 2.2), 33),
    "in perspective": case(turned(-0.2, 0.9, 5.1, -3.4, tilt=4e-3), 33),
    "far outside": case(turned(2.0, 1.3, 2000.7, -3100.2), 33),
    "from far away": case(turned(0.1, 9.3, -300, -333), 33),
    "less than a block": case(turned(0.3, 1.1, -4.3, 2.2), 16),
    "of five channels": case(turned(0.3, 1.1, -4.3, 2.2), 16, channels=5),
    "whole blocks": case(turned(0.3, 1.1, -4.3, 2.2), 64),
    "wide": case(turned(0.3, 1.1, -4.3, 2.2), Oblong(20, 41)),
    "tall": case(turned(-0.2, 0.9, 5.1, -3.4, tilt=4e-3), Oblong(41, 20)),
}


def far_behind(path: Path) -> Case:
    """Return a case whose pictures lie behind 2^31 bytes of a file that takes no room."""
    near = CASES["turned"]
    start = 2**31 + 7
    pixels = np.memmap(path, dtype=np.uint8, mode="w+", shape=start + len(near.pixels))
    pixels[start:] = near.pixels.numpy()
    return near._replace(pixels=torch.from_numpy(pixels), places=near.places + torch.tensor([start, 0, 0]))


def interpret(folder: Path) -> None:
    """Resample all cases by the kernel, and write what comes of them."""
    # TRITON_INTERPRET has to be set before Triton is imported.
    from imageclf.data.views.resample_kernel import resample

    results = {name: resample(*each).numpy() for name, each in CASES.items()}
    results["far behind"] = resample(*far_behind(folder / "large.bin")).numpy()
    np.savez(folder / "results.npz", **results)


if __name__ == "__main__":
    interpret(Path(sys.argv[1]))
