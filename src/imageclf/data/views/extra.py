"""A transform of the user's own, `transforms.extra`: what it is given, and what it must return."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from imageclf import InputError
from imageclf.data.views.augmentation import Picture


def as_extra(built: Any, name: str) -> Callable[[Picture], Any]:
    """Return what a `transforms.extra` node has built as a function of a picture `[H, W, C]`.

    A transform of torchvision gets a tensor `[C, H, W]`: it would return an array as it is.

    Args:
        built: by the node.
        name: of its class or function.

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


def checked_view(returned: Any, given: Picture) -> Picture:
    """Return what a transform has made of a picture, as the array that it must be.

    Args:
        returned: by the transform.
        given: the picture that it got, of the same shape and type.

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
