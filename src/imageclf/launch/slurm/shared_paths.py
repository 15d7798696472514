"""Which folders the nodes of a cluster see, as far as one of them can tell."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from imageclf import InputError

# File systems of one machine. All others are taken for shared: there are many, and new ones come.
LOCAL_TYPES = frozenset(
    (
        "btrfs",
        "devtmpfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "overlay",
        "ramfs",
        "squashfs",
        "tmpfs",
        "xfs",
        "zfs",
    )
)
# A node's own by custom, whatever they are mounted from.
LOCAL_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))


def check_shared(paths: Mapping[str, Path], shared: Sequence[str], mounts: str) -> None:
    """Refuse paths that compute nodes do not see.

    Args:
        paths: by the key that names each.
        shared: folders that they do see, whatever the file system.
        mounts: the text of /proc/self/mounts.

    Raises:
        InputError: the first such path.
    """
    for key, path in paths.items():
        real = path.expanduser().resolve()
        if any(real.is_relative_to(Path(folder).resolve()) for folder in shared):
            continue
        reason = why_local(real, mounts)
        if reason:
            raise InputError(
                f"{key}={path} is {reason}, which compute nodes do not see: put it on a shared file system, "
                f"or say that they see it by cluster.shared_paths=[{real}]"
            )


def why_local(path: Path, mounts: str) -> str | None:
    """Return what makes a path a node's own, or None.

    >>> why_local(Path("/home/me"), "server:/home /home nfs4 rw 0 0")
    >>> why_local(Path("/home/me"), "/dev/sda1 / ext4 rw 0 0")
    'on ext4'
    """
    for folder in LOCAL_FOLDERS:
        if path.is_relative_to(folder):
            return f"in {folder}"
    kind = file_system(path, mounts)
    return f"on {kind}" if kind in LOCAL_TYPES else None


def file_system(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path is on; "" where no mount holds it."""
    lines = [line.split() for line in mounts.splitlines() if line]
    places = {Path(_unescaped(words[1])): words[2] for words in lines}
    holding = [place for place in places if path.is_relative_to(place)]
    return places[max(holding, key=lambda place: len(place.parts))] if holding else ""


def _unescaped(text: str) -> str:
    r"""Return a path as it is; the kernel writes a space as \040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
