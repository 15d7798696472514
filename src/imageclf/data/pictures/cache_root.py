"""Where the cache is: a folder that is named, that of the user, or one of temporary files."""

import logging
import os
import tempfile
from functools import lru_cache
from pathlib import Path

from imageclf import InputError

log = logging.getLogger(__name__)


def cache_root(cache_dir: str | None) -> Path:
    """Return the folder of all caches.

    Args:
        cache_dir: as given; None: `$XDG_CACHE_HOME/imageclf`, or `~/.cache/imageclf`, and where there is no
            home or it cannot be written to, as in a container, a folder of the user's own among the
            temporary files, which is said.

    Raises:
        InputError: that folder among the temporary files is somebody else's.
    """
    if cache_dir:
        return Path(os.path.expanduser(cache_dir)).absolute()  # noqa: PTH111, it leaves an unknown ~ as it is
    given = os.environ.get("XDG_CACHE_HOME")
    # Without a home it leaves the ~, which is no absolute path.
    path = Path(given).absolute() if given else Path(os.path.expanduser("~/.cache"))  # noqa: PTH111
    if path.is_absolute() and _may_write(path / "imageclf"):
        return path / "imageclf"
    return _temporary(str(path / "imageclf"))


def _may_write(path: Path) -> bool:
    """Return whether this user may write to a folder, which need not be there yet."""
    existing = next(each for each in (path, *path.parents) if each.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


@lru_cache
def _temporary(instead_of: str) -> Path:
    """Return a folder among the temporary files that no other user may write to, and say so, once."""
    name = f"imageclf-{os.getuid()}"
    try:
        path = Path(tempfile.gettempdir(), name)
        path.mkdir(mode=0o700, exist_ok=True)
        owner = path.lstat().st_uid
    except OSError as error:
        raise InputError(
            f"the cache can be made neither in {instead_of} nor among the temporary files "
            f"({error.strerror}): give data.cache_dir=FOLDER, or data.cache=none"
        ) from None
    if path.is_symlink() or owner != os.getuid():
        raise InputError(f"{path} is another user's: give data.cache_dir=FOLDER, or data.cache=none")
    log.warning("the cache cannot be made in %s, and is in %s; data.cache_dir chooses", instead_of, path)
    return path
