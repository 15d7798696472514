"""Files of weights: written atomically, and read without trusting who wrote them; and a digest of weights."""

import hashlib
import os
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning_utilities.core.apply_func import apply_to_collection
from torch import nn

from imageclf import InputError
from imageclf.system.files import regular_file, write_atomically
from imageclf.system.words import reason_of


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
            # Tensors of a GPU are loaded onto it, or not at all, by all who do not ask for another place.
            torch.save(apply_to_collection(content, torch.Tensor, torch.Tensor.cpu), file)
    except RuntimeError as error:
        # torch's writer hides the file's own error behind a complaint about positions.
        cause = error.__context__
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, str(path)) from error
        # Ctrl-C, or a signal that ends the run.
        if cause is not None and not isinstance(cause, Exception):
            raise cause from None
        raise


class CheckpointFiles(TorchCheckpointIO):
    """Write the Trainer's checkpoints straight to their place.

    Lightning's own way uses memory and a file in the system's temporary folder, which may be on another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; the caller makes it durable."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_tensors(checkpoint, Path(path))


def is_whole(path: Path) -> bool:
    """Return whether a file of torch.save is complete: its zip holds a CRC-32 of every tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    # Of a zip that torch.save has not written: encrypted, or packed in a way that is not known.
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError):
        return False


def read_saved(file: Path, maps: bool = False) -> dict[str, Any]:
    """Return what a file of torch.save holds: tensors and plain values; no code runs.

    With `maps` tensors are read only where they are looked at, of a file that nobody writes meanwhile.

    Raises:
        InputError: it is not such a file, or is damaged.
    """
    _check_stored(regular_file(file))
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=maps)
    except UnpicklingError:
        # torch's own message says how to run the code.
        raise InputError(
            f"{file} holds more than tensors and plain values, and no code of a file is run"
        ) from None
    # The restricted unpickler raises anything if torch.save has not written the file.
    except Exception as error:
        raise InputError(f"{file} is damaged, or no file of weights ({reason_of(error)})") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no weights")
    return content


def load_into(model: nn.Module, file: Path) -> None:
    """Load the weights of a file into a model.

    Raises:
        InputError: it is not a file of weights, or one of another model.
    """
    state = read_saved(file).get("state_dict")
    if not isinstance(state, dict):
        raise InputError(f"{file} holds no weights")
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{file} holds the weights of another model than config.yaml says: {reason}"
        ) from None


def classes_of(file: Path) -> tuple[str, ...]:
    """Return the class names in a file of weights.

    Raises:
        InputError: it is not a file of weights, or has no class names.
    """
    classes = read_saved(file).get("classes")
    names = classes if isinstance(classes, list | tuple) else []
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f"{file} has no list of class names")
    return tuple(names)


def weights_digest(module: nn.Module) -> str:
    """Return a hash of a module's parameters and buffers, by name, type, shape and value."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _check_stored(file: Path) -> None:
    """Refuse compressed entries: torch.save writes none, and a small file could unpack to gigabytes."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{file} is damaged, or no file of weights ({error})") from None
    total = sum(entry.file_size for entry in entries)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or total > file.stat().st_size:
        raise InputError(f"{file} is no file of weights: it holds packed data")
