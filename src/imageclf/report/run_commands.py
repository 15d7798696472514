"""The commands that make a run once more and that use it, ready to paste into a shell."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from imageclf.configs.short_data import quoted

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+")


def training_command(overrides: Sequence[str]) -> str:
    """Return the command that trains with these overrides, an argument a line where there are several."""
    arguments = [shlex.quote(each) for each in overrides]
    return (" \\\n  " if len(arguments) > 2 else " ").join(["imageclf-train", *arguments])


def using_commands(run_dir: Path) -> list[tuple[str, str]]:
    """Return what can be done with a finished run: words, and the command."""
    run = shlex.quote(f"run={_value(str(run_dir))}")
    return [
        ("Predict a folder of new pictures", f"imageclf-predict {run} data=FOLDER"),
        ("Export for onnxruntime, which needs no PyTorch", f"imageclf-export {run} format=onnx"),
        ("Export for timm, which needs no imageclf", f"imageclf-export {run} format=timm"),
    ]


def _value(path: str) -> str:
    """Return a path as the value of an override; Hydra takes =, commas and brackets for its own."""
    return path if set(path) <= _PLAIN else quoted(path)
