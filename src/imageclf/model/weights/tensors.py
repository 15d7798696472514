"""Files of tensors, written so that a kill at any moment leaves the old one or the new one."""

import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from imageclf.system.files import write_atomically


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """Save tensors and plain values atomically."""
    write_atomically(path, lambda temporary: write_tensors(content, temporary))


def write_tensors(content: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values with torch.save.

    Raises:
        OSError: the disk is full, or the file cannot be written for another reason.
    """
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        # torch's writer hides what the file said behind a complaint about positions.
        said = error.__context__
        if isinstance(said, OSError):
            raise OSError(said.errno, said.strerror, str(path)) from error
        # Ctrl-C, or a signal that ends the run.
        if said is not None and not isinstance(said, Exception):
            raise said from None
        raise


class CheckpointFiles(TorchCheckpointIO):
    """Write the Trainer's checkpoints where they are to be.

    Lightning's own way goes through memory and a file in the system's temporary folder, which may be on
    another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; whoever asked for it makes it durable."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_tensors(checkpoint, Path(path))


def is_whole(path: Path) -> bool:
    """Return whether a file of torch.save is complete: its zip holds a CRC-32 of every tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
