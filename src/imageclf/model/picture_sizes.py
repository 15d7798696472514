"""The picture sizes that an architecture accepts, and the options that build it for them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import timm
import torch
from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from imageclf import InputError
from imageclf.schedule.size import PictureSize, edges, of_edges

# Every timm architecture with restricted sizes accepts multiples of one of these.
_STEPS = (8, 14)
# What truncated normal numbers are made by.
_FILLING = {Tensor.uniform_, Tensor.erfinv_, Tensor.mul_, Tensor.add_, Tensor.clamp_}


def fixed_size(name: str) -> int | None:
    """Return the pixels a side that an architecture is built for, None if it accepts any."""
    config = timm.get_pretrained_cfg(name)
    # Deprecated names have no config, and none of them has a fixed size.
    return _own_size(name) if config is not None and config.fixed_input_size else None


def size_options(name: str, sizes: Sequence[PictureSize]) -> dict[str, Any]:
    """Return the options of `timm.create_model` for pictures of these sizes; without any, of its own size.

    For one size position embeddings are built for it. For several they keep the size that the weights were
    trained at, and are resampled in each forward pass; windows keep their size.
    """
    if not sizes or fixed_size(name) is None:
        # Convolutional architectures do not have the options.
        return {}
    if len(sizes) == 1:
        return {"img_size": sizes[0]}
    return {"dynamic_img_size": True} if takes_option(name, "dynamic_img_size", True) else {}


def check_sizes(name: str, sizes: Sequence[PictureSize], options: dict[str, Any]) -> None:
    """Refuse sizes that an architecture does not accept, before its weights are downloaded.

    `options` are those of `size_options`; the message names sizes that it accepts.
    """
    refused = [size for size in sizes if not takes_size(name, size, options)]
    if refused and fixed_size(name) is not None and not options:
        # Several sizes, each of which may be accepted by itself.
        options = {"img_size": None}
        refused = [size for size in sizes if not takes_size(name, size, options)]
        if not refused:
            raise InputError(
                f"model.backbone={name} takes pictures of one size only, and the schedule has "
                f"{', '.join(map(str, sizes))}: give every phase the same size, or take a convolutional model"
            )
    # If it fails at its own size as well, it cannot be tried without numbers: its first batch will show.
    if refused and takes_size(name, _own_size(name), options):
        accepted = nearest(refused[0], lambda size: takes_size(name, size, options)) or [_own_size(name)]
        raise InputError(
            f"model.backbone={name} takes no pictures of {refused[0]} px, but of "
            f"{' and '.join(map(str, accepted))}; change data.size, or the size of the phase"
        )


def takes_size(name: str, size: PictureSize, options: dict[str, Any]) -> bool:
    """Return whether an architecture accepts pictures of a size.

    `options` are those of `size_options`; an `img_size` among them follows the size.
    """
    return _takes(name, size, **(options | ({"img_size": size} if "img_size" in options else {})))


# Cached: every run of a sweep asks for the sizes of the same model, and each answer takes a forward pass.
@lru_cache(maxsize=256)
def _takes(name: str, size: PictureSize, **options: Any) -> bool:
    try:
        body = _skeleton(name, **options)
        with torch.no_grad():
            body(torch.zeros(1, 3, *edges(size), device="meta"))
    except NotImplementedError:
        return True  # An operation that needs numbers: the training will show.
    except Exception:  # Architectures fail in many ways: an assertion, a shape, an index.
        return False
    return _fills_patches(body, size)


def takes_option(name: str, option: str, value: object) -> bool:
    """Return whether an architecture has an option of `timm.create_model`."""
    try:
        _skeleton(name, **{option: value})
    except TypeError as error:
        if option not in str(error):
            raise
        return False
    return True


def nearest(size: PictureSize, is_legal: Callable[[int], bool]) -> list[PictureSize]:
    """Return the nearest legal sizes below and above whose sides are at most 128 pixels away.

    `is_legal` tells it of a square's side.

    >>> nearest(100, lambda side: side % 14 == 0), nearest(20, lambda side: side % 32 == 0)
    ([98, 112], [32])
    >>> [str(size) for size in nearest(of_edges((64, 100)), lambda side: side % 32 == 0)]
    ['64x96', '64x128']
    """
    height, width = edges(size)
    # Each side once: every question builds a model.
    found = {side: _nearest_sides(side, is_legal) for side in {height, width}}
    pairs = zip(found[height], found[width], strict=True)
    return [of_edges((high, wide)) for high, wide in pairs if high is not None and wide is not None]


def _nearest_sides(side: int, is_legal: Callable[[int], bool]) -> tuple[int | None, int | None]:
    """Return the nearest legal sides below and above; a side that is legal itself is both, None: none is."""
    if is_legal(side):
        return side, side
    around = range(max(8, side - 128), side + 129)
    steps = [each for each in around if any(each % step == 0 for step in _STEPS)]
    below = filter(is_legal, (each for each in reversed(steps) if each < side))
    above = filter(is_legal, (each for each in steps if each > side))
    return next(below, None), next(above, None)


def _own_size(name: str) -> int:
    config = timm.get_pretrained_cfg(name)
    # Deprecated names and users' own models may have none.
    return int(config.input_size[-1]) if config is not None and config.input_size else 224


# Cached: an architecture of any size is tried with one size after another.
@lru_cache(maxsize=1)
def _skeleton(name: str, **options: Any) -> nn.Module:
    # Shapes without numbers take neither memory nor random draws.
    with torch.device("meta"), _Unfilled():
        skeleton: nn.Module = timm.create_model(name, num_classes=0, **options)
    return skeleton.eval()


class _Unfilled(TorchFunctionMode):
    """Leave out what fills tensors: it takes most of the time of building a model without numbers."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Return the tensor as it is where `func` would only change its numbers."""
        return args[0] if func in _FILLING else func(*args, **(kwargs or {}))


def _fills_patches(body: nn.Module, size: PictureSize) -> bool:
    """Return whether the patches cover the picture; patches of 16 would drop two columns of 50 pixels."""
    embed = next((each for each in body.modules() if isinstance(each, PatchEmbed)), None)
    pairs = zip(edges(size), embed.patch_size if embed else (1, 1), strict=True)
    return all(edge % side == 0 for edge, side in pairs)
