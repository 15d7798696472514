"""Find the pictures below a folder, without asking the disk about each file."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from imageclf import InputError
from imageclf.data.sources.names import listing, natural_sorted

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Suffixes of pictures, in any case."""

_log = logging.getLogger(__name__)

_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class Folder:
    """Names directly in one folder, unsorted."""

    folders: list[str]
    pictures: list[str]
    others: list[str]
    """Files without a picture suffix."""
    hidden: list[str]
    """Files and folders that start with a dot or belong to the operating system."""


@dataclass(frozen=True)
class Pictures:
    """Pictures at any depth below one folder, as posix paths relative to it, in natural order."""

    names: list[str]
    others: list[str]
    hidden: list[str]


def find_root(root: str) -> str:
    """Expand `~` and environment variables in `data.root` and make it absolute.

    Raises:
        InputError: It is not a folder.
    """
    # os.path leaves an unknown ~user as it is, where pathlib raises an error of its own.
    expanded = os.path.expanduser(os.path.expandvars(root))  # noqa: PTH111
    path = os.path.normpath(Path(expanded).absolute())
    if root.strip() and Path(path).is_dir():
        return path
    raise InputError(f"data.root={root!r} is not a folder (looked at {path}); name that of the data set.")


def is_picture(name: str) -> bool:
    """Tell by the suffix; a hidden file is none."""
    return name[0] != "." and name.lower().endswith(SUFFIXES)


def read_folder(path: str) -> Folder:
    """List one folder once.

    Raises:
        InputError: It cannot be listed, or a name in it is not valid UTF-8.
    """
    folders, files = _names(path)
    pictures = files if _are_pictures(files) else [name for name in files if is_picture(name)]
    others = [name for name in files if not is_picture(name)] if len(pictures) < len(files) else []
    return Folder(
        folders=[name for name in folders if not _is_hidden(name)],
        pictures=pictures,
        others=[name for name in others if not _is_hidden(name)],
        hidden=[name for name in (*folders, *others) if _is_hidden(name)],
    )


def list_pictures(folder: str, trail: tuple[str, ...] = ()) -> Pictures:
    """List a folder's own pictures, then those of each sub-folder; links to folders are followed.

    Args:
        folder: Path of the folder.
        trail: Real paths of the folders whose links led here; empty at the start.

    Raises:
        InputError: A link leads back to a folder that holds it, or see `read_folder`.
    """
    here = read_folder(folder)
    found = Pictures(natural_sorted(here.pictures), here.others, here.hidden)
    for child in natural_sorted(here.folders):
        path = f"{folder}/{child}"
        below = list_pictures(path, follow(path, trail))
        for names, more in zip(_lists(found), _lists(below), strict=True):
            names += [f"{child}/{name}" for name in more]
    return found


def follow(path: str, trail: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Extend the trail when the path is a link.

    Raises:
        InputError: The link leads back to a folder on the trail, so that listing would not end.
    """
    if not Path(path).is_symlink():
        return trail
    target = os.path.realpath(path)
    trail = (*trail, os.path.realpath(Path(path).parent))
    if any(os.path.commonpath([target, seen]) == target for seen in trail):
        raise InputError(f"data.root: the link {path!r} leads back to {target!r}, which holds it; remove it.")
    return trail


def picture_ids(names: Sequence[str]) -> list[str]:
    """Drop the suffixes, but keep them wherever two pictures would get the same id.

    Args:
        names: Different paths, each with a suffix.
    """
    if not names:
        return []
    common_end = names[0][names[0].rfind(".") :] + "\0"
    stems = "\0".join((*names, "")).split(common_end)[:-1]
    if len(stems) == len(names):  # One suffix, as in most data: nothing can clash.
        return stems
    stems = [name[: name.rfind(".")] for name in names]
    full = pd.Series(names, dtype="str")
    ids = pd.Series(stems, dtype="str")
    # A name kept whole can equal another's stem (a.jpg, a.png, a.jpg.png), hence the loop.
    while (repeated := ids.duplicated(keep=False)).any():
        ids = ids.mask(repeated, full)
    return ids.tolist()


def report_skipped(place: str, hidden: Sequence[str], others: Sequence[str]) -> None:
    """Say how many files and folders were left out, and some of their names."""
    if hidden:
        _log.info(
            "%s: skipped %d hidden or system files and folders: %s", place, len(hidden), listing(hidden)
        )
    if others:
        _log.warning("%s: skipped %d files without a picture suffix: %s", place, len(others), listing(others))


def _names(path: str) -> tuple[list[str], list[str]]:
    """List folders and files, links as what they lead to; only links cost a look at the disk."""
    try:
        with os.scandir(path) as found:
            entries = list(found)
            folders = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise InputError(f"data.root: {path!r} cannot be listed ({error.strerror}).") from None
    names = [entry.name for entry in entries]
    _check_unicode(path, names)
    known = set(folders)
    return folders, [name for name in names if name not in known] if known else names


def _are_pictures(names: Sequence[str]) -> bool:
    """Tell whether all names have one suffix of pictures, as in most data, without a look at each."""
    suffix = names[0][names[0].rfind(".") :] if names else ""
    text = "\0".join(("", *names, ""))
    return suffix.lower() in SUFFIXES and text.count(f"{suffix}\0") == len(names) and "\0." not in text


def _check_unicode(path: str, names: Sequence[str]) -> None:
    text = "\0".join(names)
    if text.isascii() or _is_utf8(text):
        return
    broken = listing([name for name in names if not _is_utf8(name)])
    raise InputError(f"data.root: names in {path!r} are not valid UTF-8 ({broken}); rename them.")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_hidden(name: str) -> bool:
    return name[0] == "." or name.lower() in _SYSTEM_NAMES


def _lists(found: Pictures) -> tuple[list[str], list[str], list[str]]:
    return found.names, found.others, found.hidden
