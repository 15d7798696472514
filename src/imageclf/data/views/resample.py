"""Views of many stored pictures at once, on any device: one bilinear resampling each, then lighting."""

import torch
from torch import Tensor

from imageclf.schedule.size import PictureSize, edges


def resample(
    pixels: Tensor, places: Tensor, maps: Tensor, tables: Tensor, size: PictureSize, channels: int = 3
) -> Tensor:
    """Return views of pictures, uint8 `[B, H, W, channels]`; outside a picture, it is reflected.

    It does for a batch what `warp` and `light` do for one picture, without a host sync. `resample_kernel`
    is the same as one CUDA kernel, and gives the same bits.

    Args:
        pixels: all pictures, one after the other, uint8 `[N]`.
        places: (offset, width, height) of the pictures among them, int64 `[B, 3]`.
        maps: from pixels of the views to pixels of the pictures, float32 `[B, 9]`.
        tables: of new values, uint8 `[B, 256]`.
        size: of the views.
        channels: of the pictures.
    """
    offset, width, height = (each[:, None, None] for each in places.unbind(1))
    x, y = _sources(maps, size)
    left, top = x.floor(), y.floor()
    x0, y0 = left.long(), top.long()
    columns = _reflected(x0, width), _reflected(x0 + 1, width)
    lines = [offset + channels * width * _reflected(each, height) for each in (y0, y0 + 1)]
    # A window of a pixel's bytes at each byte: a colour is one element, and one read copies it.
    colours = pixels.unfold(0, channels, 1)
    upper, lower = (
        _between(colours, [line + channels * each for each in columns], x - left) for line in lines
    )
    values = upper + (y - top)[..., None] * (lower - upper)
    # To the nearest whole number, ties to even, as in OpenCV.
    found = tables.gather(1, values.round().long().flatten(1))
    return found.view(-1, *edges(size), channels)


def _sources(maps: Tensor, size: PictureSize) -> tuple[Tensor, Tensor]:
    """Return x and y in its picture of each pixel of the views, `[B, H, W]` each."""
    lines, columns = (torch.arange(each, dtype=torch.float32, device=maps.device) for each in edges(size))
    x, y = columns[None, None, :], lines[None, :, None]
    m = maps[:, :, None, None].unbind(1)
    # No matmul: on a GPU it may round to TF32, whose steps are a pixel and more.
    depth = m[6] * x + m[7] * y + m[8]
    return (m[0] * x + m[1] * y + m[2]) / depth, (m[3] * x + m[4] * y + m[5]) / depth


def _reflected(places: Tensor, side: Tensor) -> Tensor:
    """Reflect whole positions into 0 to `side` - 1, however far outside: fedcba|abcdefgh|hgfedcb."""
    places = torch.where(places < 0, -1 - places, places) % (2 * side)
    return torch.where(places < side, places, 2 * side - 1 - places)


def _between(colours: Tensor, starts: list[Tensor], share: Tensor) -> Tensor:
    """Interpolate between two pixels: the colours `[B, H, W, C]` at a fraction of the way."""
    first, second = (colours[start].float() for start in starts)
    return first + share[..., None] * (second - first)
