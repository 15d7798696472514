"""Sets of pictures whose copies are known: a uniform one, and what happens to copies."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def solar_cells(count: int, seed: int = 0, side: int = 120) -> list[Pixels]:
    """Draw cells of one pattern, with grain, uneven light, and a small defect on every other one."""
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    pattern = 120 + 40 * np.minimum(1, 20 * np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)))
    for bar in (0.2, 0.4, 0.6, 0.8):
        pattern = pattern - 60 * (np.abs(x - bar) < 0.012)
    cells = []
    for number in range(count):
        draw = np.random.default_rng([seed, number])
        light = Image.fromarray(draw.normal(0, 4, (12, 12)).astype(np.float32)).resize((side, side))
        cell = pattern * (1 + 0.05 * draw.normal()) + np.asarray(light) + draw.normal(0, 5, (side, side))
        if number % 2:
            left, top = draw.uniform(0.1, 0.9, 2)
            cell = cell - 40 * np.exp(-((x - left) ** 2 + (y - top) ** 2) / 0.001)
        cells.append(np.repeat(np.clip(cell, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2))
    return cells


def copied(picture: Pixels, quality: int = 75, scale: float = 1.0, crop: float = 0.0) -> Pixels:
    """Return a picture saved as a JPEG, after cutting a share off each side, and resizing."""
    image = Image.fromarray(picture)
    width, height = image.size
    box = (width * crop, height * crop, width * (1 - crop), height * (1 - crop))
    image = image.crop(tuple(map(int, box)))
    image = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return np.asarray(Image.open(io.BytesIO(content.getvalue())).convert("RGB"))
