"""The commands that make a run once more and that use it, ready to paste into a shell."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from imageclf.system.command_line import override


def training_command(overrides: Sequence[str]) -> str | None:
    """Return the command that trains with these overrides, an argument a line where there are several.

    None if they continued a run: the command that started it may have had others.
    """
    if any(each.startswith("ckpt_path=") for each in overrides):
        return None
    arguments = [shlex.quote(each) for each in overrides]
    return (" \\\n  " if len(arguments) > 2 else " ").join(["imageclf-train", *arguments])


def run_arguments(run_dir: Path, modules: Sequence[str] = ()) -> str:
    """Return the arguments that open a run, as they are typed in a shell.

    `modules` are the user's own, which hold its network and have to be trusted.

    >>> run_arguments(Path("runs/1"), ["petals.head"])
    "run=runs/1 'trust=[petals.head]'"
    """
    trust = [shlex.quote(f"trust=[{','.join(modules)}]")] if modules else []
    return " ".join([override("run", run_dir), *trust])


def using_commands(run_dir: Path, modules: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return what can be done with a finished run: words, and the command; see `run_arguments`."""
    run = run_arguments(run_dir, modules)
    return [
        ("Predict a folder of new pictures", f"imageclf-predict {run} data=FOLDER"),
        ("Export for onnxruntime, which needs no PyTorch", f"imageclf-export {run} format=onnx"),
        ("Export for timm, which needs no imageclf", f"imageclf-export {run} format=timm"),
    ]
