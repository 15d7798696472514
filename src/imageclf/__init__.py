"""Fine-tune image classifiers the fast.ai way, as one configured, resumable job."""

import importlib
import sys
import types
import typing
import warnings

from imageclf.system.errors import InputError, Preempted

if typing.TYPE_CHECKING:
    from imageclf.api import Analysis, Prediction, Run, analyse, load, train

__all__ = [
    "Analysis",
    "InputError",
    "Prediction",
    "Preempted",
    "Run",
    "analyse",
    "load",
    "train",
]

__version__ = "0.1.0"

# They load torch, which --help and Tab do without.
_LAZY = frozenset(__all__) - {"InputError", "Preempted"}


class _Package(types.ModuleType):
    """This package: `imageclf.train` is always the function.

    An import of the module imageclf.train, which `python -m imageclf.train` runs, would put the module in its
    place.
    """

    def __getattr__(self, name: str) -> typing.Any:
        if name in _LAZY:
            with warnings.catch_warnings():
                # tqdm, in a notebook without its widgets: none of its bars is used.
                warnings.filterwarnings("ignore", "IProgress not found")
                loading = importlib.import_module("imageclf.configs.loading")
                return getattr(loading.load("imageclf.api", keep=False), name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _LAZY and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
