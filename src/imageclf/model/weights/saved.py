"""A file of weights that anyone may have written: tensors and class names, and nothing else is read of it."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imageclf import InputError
from imageclf.system.files import regular_file


def load_into(model: nn.Module, file: Path) -> None:
    """Put the weights of a file into a model.

    Raises:
        InputError: it is no file of weights, or one of another model.
    """
    state = _read(file).get("state_dict")
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
    """Return the class names that a file of weights carries.

    Raises:
        InputError: it is no file of weights, or carries none.
    """
    classes = _read(file).get("classes")
    names = classes if isinstance(classes, list | tuple) else []
    if len(names) < 2 or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f"{file} carries no list of class names")
    return tuple(names)


def _read(file: Path) -> dict[str, Any]:
    _check_stored(regular_file(file))
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    # The restricted unpickler raises anything on what torch.save has not written.
    except Exception as error:
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise InputError(f"{file} is damaged, or no file of weights ({reason})") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} holds no weights")
    return content


def _check_stored(file: Path) -> None:
    """Refuse packed entries: torch.save packs nothing, and a small file could unpack to gigabytes."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{file} is damaged, or no file of weights ({error})") from None
    total = sum(entry.file_size for entry in entries)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or total > file.stat().st_size:
        raise InputError(f"{file} is no file of weights: it holds packed data")
