"""Which folders the other nodes of a cluster see, as far as one node can tell."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from imageclf import InputError

# File systems of a single machine. All others count as shared: there are many of them.
LOCAL_TYPES = frozenset(
    {
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
    }
)
# Local to a node by convention, whatever is mounted there.
LOCAL_FOLDERS = (Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))


def check_shared(paths: Mapping[str, Path], shared: Sequence[str], mounts: str) -> None:
    """Check that compute nodes see some paths.

    `paths` are by the key that sets each, `shared` are folders that nodes see on any file system, and
    `mounts` is the text of /proc/self/mounts.
    """
    for key, path in paths.items():
        real = path.expanduser().resolve()
        if any(real.is_relative_to(Path(folder).resolve()) for folder in shared):
            continue
        reason = why_local(real, mounts)
        if reason:
            # A new run's folder has the time in its name.
            folder = _lasting(real) if key == "hydra.sweep.dir" else real
            raise InputError(
                f"{key}={path} is {reason}, which compute nodes do not see: put it on a shared file system, "
                f"or say that they see it by cluster.shared_paths=[{folder}]"
            )


def _lasting(path: Path) -> Path:
    """Return a folder that holds an absolute path, and that the next command will find as well."""
    here = Path.cwd()
    if path.is_relative_to(here):
        return here
    return next((each for each in (path, *path.parents[:-1]) if each.exists()), path)


def why_local(path: Path, mounts: str) -> str | None:
    """Return why a path is local to a node, or None if it is not.

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
    """Return the type of the file system of a path; "" if no mount holds it."""
    lines = [line.split() for line in mounts.splitlines() if line]
    # A space is \040 there.
    places = {
        Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), words[1])): words[2]
        for words in lines
    }
    holding = [place for place in places if path.is_relative_to(place)]
    return places[max(holding, key=lambda place: len(place.parts))] if holding else ""
