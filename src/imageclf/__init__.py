"""Fine-tune image classifiers the fast.ai way, as one configured, resumable job."""

import importlib
import typing

from imageclf.system.errors import InputError, Preempted

if typing.TYPE_CHECKING:
    from imageclf.api import Prediction, Run, load

__all__ = ["InputError", "Prediction", "Preempted", "Run", "load"]

__version__ = "0.1.0"

_LAZY = frozenset(__all__) - {"InputError", "Preempted"}


def __getattr__(name: str) -> typing.Any:
    """Return a name of `imageclf.api` when it is asked for: that loads torch, which --help does not need."""
    if name in _LAZY:
        return getattr(importlib.import_module("imageclf.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
