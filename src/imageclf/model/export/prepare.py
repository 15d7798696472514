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
# Pillow's names of grey pictures with more than 8 bits, and of pictures with one channel.
DEEP = ("I", "F", "I;16", "I;16B", "I;16L")
SINGLE = ("1", "L", *DEEP)


def prepare(
    path: str | Path, size: Any, side: Any, resize: str, crop_pct: float, channels: int = 3, bits: int = 8
) -> Any:
    """Return the pixels of a file, `[height, width, channels]`; `prepare` in config.json has the options.

    Args:
        path: of a picture; of an animation, the first frame is taken.
        size: of the result: pixels a side, or height and width.
        side: likewise, that the picture is shrunk to before the one resampling that gives it its size.
        resize: crop, squish or pad.
        crop_pct: share that the crop keeps of the side that limits it.
        channels: of the result; 1: grey.
        bits: 8: uint8; 16: uint16.
    """
    at_least = max(np.max(side), 2 * np.max(size))
    if channels in (1, 3) and bits == 8 and not str(path).lower().endswith(".npy"):
        picture = read_8_bit(path, at_least, "L" if channels == 1 else "RGB")
    else:
        picture = fit(read_planes(path, at_least, channels), channels, bits)
    height, width = picture.shape[:2]
    small = shrink(picture, *small_size(width, height, side, resize))
    return cut_view(small, np.array([width, height], dtype=np.float64), size, resize, crop_pct)


def read_8_bit(path: str | Path, at_least: int, mode: str) -> Any:
    """Return the pixels of a picture file, uint8 `[H, W, C]`, as RGB or grey (L)."""
    with Image.open(path, formats=FORMATS) as image:
        # A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size.
        image.draft(mode, (at_least, at_least))
        image.load()
        picture = np.asarray(to_8_bit(ImageOps.exif_transpose(image)).convert(mode))
    return picture if picture.ndim == 3 else picture[..., None]


def read_planes(path: str | Path, at_least: int, channels: int) -> Any:
    """Return what an array, a picture of 16 bits, or one page of it per channel holds, `[H, W, C]`."""
    if str(path).lower().endswith(".npy"):
        planes = np.load(path, allow_pickle=False)
        return planes[..., None] if planes.ndim == 2 else planes
    with Image.open(path, formats=FORMATS) as image:
        image.draft("L" if channels == 1 else "RGB", (at_least, at_least))
        count = getattr(image, "n_frames", 1) if image.format == "TIFF" and image.mode in SINGLE else 1
        is_paged = 1 < count == channels
        assert is_paged or 1 in (count, channels), (
            f"it has {count} pages, and the network {channels} channels"
        )
        deep = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if ";16" in str(image.tile) else None
        if image.mode == "RGB" and deep is not None and deep.dtype == np.uint16:
            return deep[..., 2::-1]
        pages = []
        for number in range(channels if is_paged else 1):
            image.seek(number)
            page = ImageOps.exif_transpose(image)
            with_alpha = page.mode in {4: ("RGBA", "CMYK"), 2: ("LA",)}.get(channels, ())
            values = np.asarray(page if page.mode in SINGLE or with_alpha else to_8_bit(page).convert("RGB"))
            values = values.astype(np.uint8) * 255 if values.dtype == np.bool_ else values
            pages.append(values if values.dtype == np.uint8 else values.astype(np.uint16))
    return np.dstack(pages) if is_paged or pages[0].ndim == 2 else pages[0]


def fit(planes: Any, channels: int, bits: int) -> Any:
    """Return pixels `[H, W, C]` with the channels and bits of the network."""
    if planes.shape[2] == 3 and channels == 1:
        planes = np.rint(planes @ np.array([0.299, 0.587, 0.114]))[..., None].astype(planes.dtype)
    elif planes.shape[2] == 1:
        planes = np.repeat(planes, channels, axis=2)
    assert planes.shape[2] == channels, f"it has {planes.shape[2]} channels, and the network {channels}"
    if planes.dtype == np.uint8 and bits == 16:
        return planes.astype(np.uint16) * 257
    return np.rint(planes / 65535 * 255).astype(np.uint8) if planes.itemsize == 2 and bits == 8 else planes


def to_8_bit(image: Image.Image) -> Image.Image:
    """Return a picture of any mode with 8 bits: transparency on white."""
    if image.mode in DEEP:
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        # By convention 32 bits hold 8 or 16; floats may also run from 0 to 1.
        is_small = image.mode in ("I", "F") and values.max() <= 255
        top = (1.0 if image.mode == "F" and values.max() <= 1 else 255.0) if is_small else 65535.0
        scaled = np.rint(values / top * 255)
        assert scaled.min() >= 0 and scaled.max() <= 255, "its values are not from 0 to 65535"
        image = Image.fromarray(scaled.astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def small_size(width: int, height: int, side: Any, resize: str) -> tuple[int, int]:
    """Return (width, height) of a picture after shrinking; it is never enlarged."""
    high, wide = np.broadcast_to(side, 2).tolist()
    if resize == "squish":
        return min(width, wide), min(height, high)
    share = min(1.0, (min if resize == "pad" else max)(wide / width, high / height))
    return max(1, round(width * share)), max(1, round(height * share))


def shrink(picture: Any, width: int, height: int) -> Any:
    """Return pixels `[H, W, C]` resampled to `[height, width, C]`, bicubic and antialiased, as torch does."""
    if picture.shape[1] != width:
        picture = _resample(picture.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return picture if picture.shape[0] == height else _resample(picture, height)


def cut_view(small: Any, shape: Any, size: Any, resize: str, crop_pct: float) -> Any:
    """Return the view `[height, width, C]` of a picture that was shrunk from `shape`, its (width, height)."""
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
    # Of other numbers of channels OpenCV rounds places to 1/32 of a pixel.
    parts = [small] if small.shape[2] in (1, 3, 4) else list(small.transpose(2, 0, 1))
    views = [
        cv2.warpAffine(part, to_picture, width_height, flags=flags, borderMode=cv2.BORDER_REFLECT)
        for part in map(np.ascontiguousarray, parts)
    ]
    return np.dstack(views)


def _resample(picture: Any, height: int) -> Any:
    weights, bits = _weights(picture.shape[0], height)
    if picture.dtype != np.uint8:
        weights = weights / weights.sum(axis=1, keepdims=True)
        values = weights @ picture.reshape(picture.shape[0], -1).astype(np.float64)
        return np.clip(np.rint(values), 0, 65535).astype(np.uint16).reshape(height, *picture.shape[1:])
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
