"""Load what a command needs: torch, Lightning and timm, which --help and Tab do without."""

import gc
import sys
from importlib import import_module
from typing import Any


def load(name: str, keep: bool = True) -> Any:
    """Import a module with all that it imports, and return it.

    Until it is there the garbage collector rests. Nearly all of the million objects that torch and Lightning
    come with stay, and to look through them again and again takes a fifth of the time of the import.

    Args:
        name: of the module.
        keep: leave all that exists by now out of later collections, too: a full one is faster for it, as is
            the end of the process, and pages of memory that forked processes share stay shared. Not for a
            process that is not ours: what its user has made must be collected.
    """
    if name in sys.modules:
        return sys.modules[name]
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if keep:
            gc.freeze()
        if enabled:
            gc.enable()
