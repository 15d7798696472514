"""Load what a command needs: torch, Lightning and timm, which --help and Tab do without."""

import gc
import sys
from importlib import import_module
from typing import Any


def load(name: str, keep: bool = True) -> Any:
    """Import a module with all that it imports, and return it.

    The garbage collector is off until then. Nearly all of the million objects that torch and Lightning make
    are kept, and to look through them again and again takes a fifth of the time of the import.

    Args:
        name: of the module.
        keep: leave all that exists by then out of later collections, too. That makes full collections and the
            end of the process faster, and keeps pages of memory shared with forked processes. Not for the
            process of somebody else's program: what that has made must be collected.
    """
    if name in sys.modules:
        # Not from there: another thread may still be at it, and is waited for.
        return import_module(name)
    enabled = gc.isenabled()
    gc.disable()
    try:
        return import_module(name)
    finally:
        if keep:
            gc.freeze()
        if enabled:
            gc.enable()
