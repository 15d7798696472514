"""From a picture's file to the pixels that a network takes, exactly as imageclf-predict prepares them.

This file stands by itself: imageclf-export copies it beside each network. It needs NumPy, Pillow and OpenCV.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps

# Pillow's names of the formats that a training reads; PostScript, for one, would be run by Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")


def prepare(path: str | Path, size: Any, side: Any, resize: str, crop_pct: float) -> Any:
    """Return the pixels of a file, uint8 `[height, width, 3]`; `prepare` in config.json has the options.

    Args:
        path: of a picture; of an animation, the first frame is taken.
        size: of the result: pixels a side, or height and width.
        side: likewise, that the picture is shrunk to before the one resampling that gives it its size.
        resize: crop, squish or pad.
        crop_pct: share that the crop keeps of the side that limits it.
    """
    with Image.open(path, formats=FORMATS) as image:
        # A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size.
        image.draft("RGB", (max(np.max(side), 2 * np.max(size)),) * 2)
        image.load()
        picture = np.asarray(to_rgb(ImageOps.exif_transpose(image)))
    height, width = picture.shape[:2]
    small = shrink(picture, *small_size(width, height, side, resize))
    return cut_view(small, np.array([width, height], dtype=np.float64), size, resize, crop_pct)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return a picture of any mode as RGB: transparency on white, 16 bits scaled to 8."""
    if image.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        # By convention 32 bits hold 8 or 16; floats may also run from 0 to 1.
        is_small = image.mode in ("I", "F") and values.max() <= 255
        top = (1.0 if image.mode == "F" and values.max() <= 1 else 255.0) if is_small else 65535.0
        image = Image.fromarray(np.clip(np.rint(values / top * 255), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def small_size(width: int, height: int, side: Any, resize: str) -> tuple[int, int]:
    """Return (width, height) of a picture after shrinking; it is never enlarged."""
    high, wide = np.broadcast_to(side, 2).tolist()
    if resize == "squish":
        return min(width, wide), min(height, high)
    share = min(1.0, (min if resize == "pad" else max)(wide / width, high / height))
    return max(1, round(width * share)), max(1, round(height * share))


def shrink(picture: Any, width: int, height: int) -> Any:
    """Return pixels `[H, W, 3]` resampled to `[height, width, 3]`, bicubic and antialiased, as torch does."""
    if picture.shape[1] != width:
        picture = _resample(picture.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return picture if picture.shape[0] == height else _resample(picture, height)


def cut_view(small: Any, shape: Any, size: Any, resize: str, crop_pct: float) -> Any:
    """Return the view `[height, width, 3]` of a picture that was shrunk from `shape`, its (width, height)."""
    target = np.broadcast_to(size, 2)[::-1]
    each, kept = shape / target, shape * crop_pct / target
    scale = {"squish": each, "pad": np.full(2, each.max())}.get(resize, np.full(2, kept.min()))
    middle = shape / 2 - 0.5
    # A mere crop starts at a whole pixel: copied pixels are not blurred.
    whole = np.floor((shape - target) / 2 + 0.5) + (target - 1) / 2
    middle = np.where(scale == 1, whole, middle)
    share = np.array(small.shape[1::-1]) / shape
    start = share * (middle - scale * (target - 1) / 2) + (share - 1) / 2
    to_picture = np.column_stack([np.diag(share * scale), start])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    width_height = (int(target[0]), int(target[1]))
    return cv2.warpAffine(small, to_picture, width_height, flags=flags, borderMode=cv2.BORDER_REFLECT)


def _resample(picture: Any, height: int) -> Any:
    weights, bits = _weights(picture.shape[0], height)
    # Whole numbers far below 2**53: the sums are exact.
    sums = weights @ picture.reshape(picture.shape[0], -1).astype(np.float64)
    rounded = np.floor((sums + 2 ** (bits - 1)) / 2**bits)
    return np.clip(rounded, 0, 255).astype(np.uint8).reshape(height, *picture.shape[1:])


def _weights(before: int, after: int) -> tuple[Any, int]:
    """Return the weights of a column's pixels in its resampled ones, `[after, before]`, and their bits.

    They are whole numbers, scaled by two to the power of the bits, of which 16-bit weights leave room for.

    Source: Keys' cubic with a = -0.5, as in torch.nn.functional.interpolate(antialias=True).
    """
    scale = before / after
    stretch = max(scale, 1.0)
    centres = scale * (np.arange(after)[:, None] + 0.5)
    first = np.maximum((centres - 2 * stretch + 0.5).astype(int), 0)
    last = np.minimum((centres + 2 * stretch + 0.5).astype(int), before)
    pixels = np.arange(before)[None, :]
    x = np.abs((pixels - centres + 0.5) / stretch)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0)) * ((pixels >= first) & (pixels < last))
    weights = weights / weights.sum(axis=1, keepdims=True)
    bits = next(
        bits for bits in range(23) if bits == 22 or int(0.5 + weights.max() * 2 ** (bits + 1)) >= 2**15
    )
    return np.trunc(weights * 2**bits + np.copysign(0.5, weights)), bits
