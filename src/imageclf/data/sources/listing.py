"""Find the pictures below a folder, without a look at each file."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from imageclf import InputError
from imageclf.data.pictures.arrays import is_array
from imageclf.data.sources.names import natural_sorted
from imageclf.system.conventions import is_output
from imageclf.system.files import is_folder
from imageclf.system.words import counted, joined, listed

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Suffixes of pictures, in any case; `data.pictures.decode.FORMATS` says what may be in the files."""

_log = logging.getLogger(__name__)

# Photos of phones, cameras and the web that are not read: most of these formats need a decoder of their own.
_UNREAD = (".heic", ".heif", ".avif", ".jxl", ".jp2", ".dng", ".cr2", ".cr3", ".nef", ".arw")
_SYSTEM_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


class Listing(NamedTuple):
    """What a folder holds, as posix paths relative to it.

    Args:
        folders: its subfolders.
        pictures: files with a picture suffix; arrays where there are neither these nor folders.
        others: files without one.
        hidden: files and folders whose names start with a dot or belong to the operating system.
        outputs: folders of runs and caches, each with a slash at its end; nothing in them is listed.
    """

    folders: list[str]
    pictures: list[str]
    others: list[str]
    hidden: list[str]
    outputs: list[str]


def find_root(root: str) -> str:
    """Expand `~` and environment variables in `data.root` and make it absolute.

    Raises:
        InputError: It is not a folder.
    """
    # os.path leaves an unknown ~user as it is, where pathlib raises an error of its own.
    expanded = os.path.expanduser(os.path.expandvars(root))  # noqa: PTH111
    path = os.path.normpath(Path(expanded).absolute())
    if root.strip() and is_folder(path):
        return path
    raise InputError(f"data.root={root!r} is not a folder (looked at {path}); name that of the data set")


def is_picture(name: str) -> bool:
    """Tell by the suffix; a hidden file is not a picture."""
    return name[0] != "." and name.lower().endswith(SUFFIXES)


def read_folder(path: str) -> Listing:
    """List what lies directly in a folder, unsorted; links count as what they lead to.

    Raises:
        InputError: The folder cannot be listed, or a name in it is not valid UTF-8.
    """
    try:
        with os.scandir(path) as entries:
            leads_to_folder = {entry.name: entry.is_dir() for entry in entries}
    except OSError as error:
        raise InputError(f"data.root: {path!r} cannot be listed ({error.strerror}).") from None
    if broken := [name for name in leads_to_folder if not _is_utf8(name)]:
        raise InputError(f"data.root: names in {path!r} are not valid UTF-8 ({listed(broken)}); rename them.")
    folders = [name for name in leads_to_folder if leads_to_folder[name]]
    pictures = [name for name in leads_to_folder if not leads_to_folder[name] and is_picture(name)]
    if not pictures and not folders:
        # Beside pictures it is something else, such as their features.
        pictures = [name for name in leads_to_folder if name[0] != "." and is_array(name)]
    chosen = set(pictures)
    others = [name for name in leads_to_folder if not leads_to_folder[name] and name not in chosen]
    return Listing(
        folders=[name for name in folders if not _is_hidden(name)],
        pictures=pictures,
        others=[name for name in others if not _is_hidden(name)],
        hidden=[name for name in (*folders, *others) if _is_hidden(name)],
        outputs=[],
    )


def list_pictures(folder: str, trail: tuple[str, ...] = ()) -> Listing:
    """List a folder's pictures in natural order, then those of each subfolder; links are followed.

    What a run or a cache has left there is none of the pictures. The `trail` holds the real paths of the
    folders whose links led here.

    Raises:
        InputError: A link leads back to a folder that holds it, or see `read_folder`.
    """
    here = read_folder(folder)
    if is_output([*here.folders, *here.pictures, *here.others, *here.hidden]):
        return Listing([], [], [], [], outputs=[""])
    found = here._replace(folders=[], pictures=natural_sorted(here.pictures))
    for child in natural_sorted(here.folders):
        path = f"{folder}/{child}"
        below = list_pictures(path, extend_trail(path, trail))
        for names, more in zip(found, below, strict=True):
            names += [f"{child}/{name}" for name in more]
    return found


def extend_trail(path: str, trail: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the trail of `list_pictures` below a path, which is longer where the path is a link.

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
    """Drop the suffixes of different paths, but keep them wherever two pictures would get the same id."""
    ids = [os.path.splitext(name)[0] for name in names]  # noqa: PTH122
    # A name kept whole can equal another's stem (a.jpg, a.png, a.jpg.png), hence the loop.
    while len(set(ids)) < len(ids):
        counts = Counter(ids)
        ids = [name if counts[each] > 1 else each for name, each in zip(names, ids, strict=True)]
    return ids


def report_skipped(root: str, skipped: Listing) -> None:
    """Log how many files and folders were left out, and some of their names."""
    hidden, others, outputs = skipped.hidden, skipped.others, skipped.outputs
    if outputs:
        number = counted(len(outputs), "folder of a run or a cache", "folders of runs or caches")
        _log.info("%s: skipped %s: %s", root, number, listed(outputs))
    if hidden:
        number = counted(len(hidden), "hidden or system file or folder", "hidden or system files and folders")
        _log.info("%s: skipped %s: %s", root, number, listed(hidden))
    if others:
        number, remedy = counted(len(others), "file"), convert_hint(others)
        _log.warning("%s: skipped %s without a picture suffix: %s%s", root, number, listed(others), remedy)


def convert_hint(names: Sequence[str]) -> str:
    """Return what to do with photos in formats that are not read, as the end of a message.

    >>> convert_hint(["cat/notes.txt", "cat/IMG_1.HEIC", "cat/b.avif"]), convert_hint(["notes.txt"])
    ('; convert .avif and .heic to .jpg or .png, which are read', '')
    """
    suffixes = sorted({os.path.splitext(name)[1].lower() for name in names} & set(_UNREAD))  # noqa: PTH122
    return f"; convert {joined(suffixes)} to .jpg or .png, which are read" if suffixes else ""


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_hidden(name: str) -> bool:
    return name[0] == "." or name.lower() in _SYSTEM_NAMES
