"""`resample` as one Triton kernel: the sixty kernels of torch would take a tenth of a training step.

Import it only on CUDA: torch brings Triton on Linux alone.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from imageclf.schedule.size import PictureSize, edges

# Pixels of a program, four per thread: more would take so many registers that fewer programs run at once.
_BLOCK = 512


def resample(
    pixels: Tensor, places: Tensor, maps: Tensor, tables: Tensor, size: PictureSize, channels: int = 3
) -> Tensor:
    """Return views of pictures as `imageclf.data.views.resample.resample` does, bit for bit."""
    height, width = edges(size)
    images = torch.empty(len(places), height, width, channels, dtype=torch.uint8, device=pixels.device)
    blocks = triton.cdiv(height * width, _BLOCK)
    # Triton launches on the current device, not on that of the tensors.
    with torch.cuda.device_of(pixels):  # type: ignore[no-untyped-call]
        _resample[(len(places) * blocks,)](
            pixels,
            places,
            maps,
            tables,
            images,
            height * width,
            width,
            blocks,
            block=_BLOCK,
            channels=channels,
            # A fused multiply-add rounds once, and torch's two operations round twice.
            enable_fp_fusion=False,
        )
    return images


# Triton would compile further variants for sizes and addresses that are multiples of 16.
_PLAIN = ["pixels", "places", "maps", "tables", "images", "area", "columns", "blocks"]


@triton.jit(do_not_specialize=_PLAIN)  # type: ignore[untyped-decorator]
def _resample(
    pixels: tl.tensor,
    places: tl.tensor,
    maps: tl.tensor,
    tables: tl.tensor,
    images: tl.tensor,
    area: tl.tensor,
    columns: tl.tensor,
    blocks: tl.tensor,
    block: tl.constexpr,
    channels: tl.constexpr,
) -> None:
    # A program makes a block of pixels of one view. 64 bits: stores have more than 2^31 bytes.
    picture = (tl.program_id(0) // blocks).to(tl.int64)
    pixel = tl.program_id(0) % blocks * block + tl.arange(0, block)
    inside = pixel < area
    x = (pixel % columns).to(tl.float32)
    y = (pixel // columns).to(tl.float32)

    maps += picture * 9
    depth = tl.load(maps + 6) * x + tl.load(maps + 7) * y + tl.load(maps + 8)
    u = tl.math.div_rn(tl.load(maps) * x + tl.load(maps + 1) * y + tl.load(maps + 2), depth)
    v = tl.math.div_rn(tl.load(maps + 3) * x + tl.load(maps + 4) * y + tl.load(maps + 5), depth)
    left = tl.math.floor(u)
    top = tl.math.floor(v)

    places += picture * 3
    source = pixels + tl.load(places)
    width = tl.load(places + 1).to(tl.int32)
    height = tl.load(places + 2).to(tl.int32)
    x0 = _reflected(left.to(tl.int32), width)
    x1 = _reflected(left.to(tl.int32) + 1, width)
    y0 = _reflected(top.to(tl.int32), height).to(tl.int64) * width
    y1 = _reflected(top.to(tl.int32) + 1, height).to(tl.int64) * width

    table = tables + picture * 256
    image = images + (picture * area + pixel) * channels
    for channel in tl.static_range(channels):
        a = tl.load(source + (y0 + x0) * channels + channel, mask=inside, other=0).to(tl.float32)
        b = tl.load(source + (y0 + x1) * channels + channel, mask=inside, other=0).to(tl.float32)
        c = tl.load(source + (y1 + x0) * channels + channel, mask=inside, other=0).to(tl.float32)
        d = tl.load(source + (y1 + x1) * channels + channel, mask=inside, other=0).to(tl.float32)
        upper = a + (u - left) * (b - a)
        lower = c + (u - left) * (d - c)
        value = upper + (v - top) * (lower - upper)
        # Triton has no rint. From 2^23 on, floats are whole numbers: adding it rounds, ties to even.
        value = ((value + 8388608.0) - 8388608.0).to(tl.int32)
        tl.store(image + channel, tl.load(table + value, mask=inside, other=0), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _reflected(places: tl.tensor, side: tl.tensor) -> tl.tensor:
    places = tl.where(places < 0, -1 - places, places) % (2 * side)
    return tl.where(places < side, places, 2 * side - 1 - places)
