"""A transform of the user's own, `transforms.extra`: what it is given, and what it must return."""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from imageclf import InputError
from imageclf.data.views.augmentation import Picture


def as_extra(built: Any, name: str) -> Callable[[Picture], Any]:
    """Return what a `transforms.extra` node has built as a function of a picture `[H, W, C]`.

    A transform of torchvision gets a tensor `[C, H, W]`: it would return an array as it is. `name` is that of
    the node's class or function.

    Raises:
        InputError: it cannot be called.
    """
    if not callable(built):
        raise InputError(
            f"transforms.extra._target_={name} gives a {type(built).__name__}, which cannot be called: give "
            "its class a method __call__(self, picture)"
        )
    if type(built).__module__.startswith("torchvision."):
        return partial(_on_tensor, built)
    function: Callable[[Picture], Any] = built
    return function


def try_extra(extra: Callable[[Picture], Any], shape: tuple[int, int, int], dtype: np.dtype[Any]) -> None:
    """Refuse a transform that returns no picture before a run starts, which may augment only later.

    It is called once, with noise in the shape `[H, W, C]` and type of a view; see `checked_view`.
    """
    draws, white = np.random.default_rng(0), np.iinfo(dtype).max
    picture = draws.integers(0, white, shape, dtype, endpoint=True)
    checked_view(seeded(extra, picture, 0), picture)


def seeded(extra: Callable[[Picture], Any], picture: Picture, seed: int) -> Any:
    """Call a transform that draws from the global generators, and restore them afterwards."""
    python, numpy, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    # Not torch.manual_seed: it would ask for CUDA.
    torch.default_generator.manual_seed(seed)
    try:
        return extra(picture)
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(torchs)


def checked_view(returned: Any, given: Picture) -> Picture:
    """Return what a transform has made of a given picture, as an array of the same shape and type.

    Raises:
        InputError: it is something else.
    """
    array = np.asarray(returned)
    if array.dtype != given.dtype or array.shape != given.shape:
        kind = type(returned).__name__
        got = kind if array.dtype == object else f"{kind} {list(array.shape)} of {array.dtype}"
        raise InputError(
            f"transforms.extra returns {got}, not an array {list(given.shape)} of {given.dtype}, 0 to "
            f"{np.iinfo(given.dtype).max}, as the picture that it gets"
        )
    return array


def _on_tensor(transform: Callable[[torch.Tensor], Any], picture: Picture) -> Any:
    returned = transform(torch.from_numpy(picture).permute(2, 0, 1))
    is_picture = isinstance(returned, torch.Tensor) and returned.ndim == 3
    return returned.permute(1, 2, 0).numpy() if is_picture else returned
