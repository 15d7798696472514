"""Load what a command needs: torch, Lightning and timm, which --help and Tab do without."""

import gc
import sys
from importlib import import_module
from typing import Any


def load(name: str) -> Any:
    """Import a module with all that it imports, and return it.

    Until it is there the garbage collector rests. Nearly all of the million objects that torch and Lightning
    come with stay, and to look through them again and again takes a fifth of the time of the import. Nor are
    they looked through later: a full collection is faster for it, and leaves the pages of memory that forked
    processes share as they are.
    """
    if name in sys.modules:
        return sys.modules[name]
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
