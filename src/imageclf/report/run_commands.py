"""The commands that make a run once more and that use it, ready to paste into a shell."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from imageclf.system.command_line import override


def training_command(overrides: Sequence[str]) -> str:
    """Return the command that trains with these overrides, an argument a line where there are several."""
    arguments = [shlex.quote(each) for each in overrides]
    return (" \\\n  " if len(arguments) > 2 else " ").join(["imageclf-train", *arguments])


def using_commands(run_dir: Path) -> list[tuple[str, str]]:
    """Return what can be done with a finished run: words, and the command."""
    run = override("run", run_dir)
    return [
        ("Predict a folder of new pictures", f"imageclf-predict {run} data=FOLDER"),
        ("Export for onnxruntime, which needs no PyTorch", f"imageclf-export {run} format=onnx"),
        ("Export for timm, which needs no imageclf", f"imageclf-export {run} format=timm"),
    ]
