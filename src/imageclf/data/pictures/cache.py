"""A folder of results that are kept between runs, each under a hash of all that it depends on."""

import atexit
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from imageclf import InputError
from imageclf.data.pictures.checksums import checksums, damage, read_about
from imageclf.system.conventions import CACHE_TAG

log = logging.getLogger(__name__)

Kind = Literal["pictures", "features", "verified"]
KINDS: tuple[Kind, ...] = ("pictures", "features", "verified")

# Increase it whenever results are laid out in another way: older ones are then never found.
_FORMAT = 2
# As https://bford.info/cachedir/ has it.
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n# Pictures and features that imageclf keeps between runs.\n"
)
# Errors of a folder that may only be read.
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
# A lock lives as long as its file is open; an entry that this process uses must not be removed.
_protected: dict[Path, IO[bytes]] = {}


@dataclass(frozen=True)
class Entry:
    """A complete result in `folder`: `size` is the bytes of its files, `used` the time of its last use."""

    folder: Path
    kind: Kind
    about: dict[str, Any]
    size: int
    used: float


@dataclass(frozen=True)
class Cache:
    """A folder of results, `KIND/KEY/`, which together take at most `budget` bytes."""

    root: Path
    budget: int

    def find(self, kind: Kind, key: str) -> Path | None:
        """Return the folder of a result, and protect it from removal while this process lives.

        None where there is none, or a damaged one, which is reported.
        """
        folder = self.root / kind / key
        try:
            # It is read through once a process.
            checked = folder in _protected
            _protect(folder)
            if not (folder / "about.json").exists() or not (checked or _is_whole(folder)):
                _unprotect(folder)
                return None
        except OSError as error:
            raise self._error(error) from error
        # In a shared cache only its owner may be able to write.
        with suppress(OSError):
            os.utime(folder / "about.json")
        return folder

    def get(self, kind: Kind, key: str, about: Mapping[str, Any], build: Callable[[Path], None]) -> Path:
        """Return the folder of a result; `build` first writes it into an empty folder if it does not exist.

        Jobs that ask at the same time wait for the one that builds. A killed job leaves nothing that
        could be taken for a result; a damaged result is built anew. `about` describes the result for people.

        Raises:
            InputError: the disk is full, or the folder cannot be written.
        """
        found = self.find(kind, key)
        if found is not None:
            return found
        folder = self.root / kind / key
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            (self.root / CACHE_TAG).write_text(_TAG, encoding="ascii")
            # Not the lock of the users of a result: they hold that until they end.
            with folder.with_name(f".{folder.name}.build").open("a+b") as lock:
                _lock(lock, fcntl.LOCK_EX)
                if damage(folder) is not None:
                    self._build(folder, about, build)
        except OSError as error:
            raise self._error(error) from error
        found = self.find(kind, key)
        # A job that needed the space may have removed it between the locks.
        return found if found is not None else self.get(kind, key, about, build)

    def _build(self, folder: Path, about: Mapping[str, Any], build: Callable[[Path], None]) -> None:
        for stale in folder.parent.glob(f".{folder.name}.*.tmp"):
            # Its builder was killed: a running one would hold the lock.
            shutil.rmtree(stale)
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        temporary.mkdir()
        try:
            build(temporary)
            content = {**about, "files": checksums(temporary)}
            (temporary / "about.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            _sync(temporary)
            self._make_room(_size(temporary))
            # Damaged, or left by a job that was killed while removing it.
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _error(self, error: OSError) -> InputError:
        return InputError(
            f"data.cache_dir={self.root}: {error.strerror or error}; free some space, choose another folder, "
            "or train without a cache by data.cache=none"
        )

    def _make_room(self, needed: int) -> None:
        """Remove the least recently used results until `needed` bytes fit into the budget."""
        known = sorted(entries(self.root), key=lambda entry: entry.used)
        excess = sum(entry.size for entry in known) + needed - self.budget
        for entry in known:
            if excess > 0 and entry.size > 0 and remove(entry):
                log.info("cache: removed %s, the least recently used, to make room", entry.folder)
                excess -= entry.size


def content_key(**parts: Any) -> str:
    """Return a hash of everything that a result depends on; the parts must fit into JSON."""
    return hashlib.sha256(json.dumps([_FORMAT, parts], sort_keys=True).encode()).hexdigest()[:32]


def entries(root: Path) -> Iterator[Entry]:
    """Yield the complete results below a cache folder."""
    for kind in KINDS:
        # A name with a dot is a result that is being built.
        for about in sorted(root.glob(f"{kind}/[!.]*/about.json")):
            # Another job may remove it in the meantime.
            with suppress(FileNotFoundError):
                yield Entry(
                    about.parent, kind, _description(about.parent), _size(about.parent), about.stat().st_mtime
                )


def remove(entry: Entry) -> bool:
    """Remove a result unless a process uses it, and return whether it is gone."""
    with _open_lock(entry.folder) as lock:
        if not _lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
        # First the file that marks it as complete: a job killed here leaves no half result.
        (entry.folder / "about.json").unlink(missing_ok=True)
        shutil.rmtree(entry.folder, ignore_errors=True)
    return True


def _description(folder: Path) -> dict[str, Any]:
    try:
        return {key: value for key, value in read_about(folder).items() if key != "files"}
    except ValueError:
        return {"state": "damaged"}


def _is_whole(folder: Path) -> bool:
    found = damage(folder)
    if found is not None:
        log.warning("cache: %s is damaged (%s) and will be built anew", folder, found)
    return found is None


def _protect(folder: Path) -> None:
    """Protect a result from removal while this process lives."""
    if folder in _protected or not folder.parent.is_dir():
        return
    try:
        _protected[folder] = _open_lock(folder)
    except OSError as error:
        # A shared cache may be writable by its owner alone; a shared lock needs read access only.
        if error.errno not in _DENIED or not os.access(folder, os.R_OK):
            raise
        with suppress(FileNotFoundError, PermissionError):
            _protected[folder] = _lock_path(folder).open("rb")
    if folder in _protected:
        _lock(_protected[folder], fcntl.LOCK_SH)


def _open_lock(folder: Path) -> IO[bytes]:
    # For reading and writing: NFS makes a POSIX lock of it, and those need read access to be shared and write
    # access to be exclusive.
    return _lock_path(folder).open("a+b")


def _lock_path(folder: Path) -> Path:
    # Outside the folder and never removed: two jobs must lock the same file.
    return folder.with_name(f".{folder.name}.lock")


def _lock(file: IO[bytes], how: int) -> bool:
    """Lock a file, and return whether it was free; also True where the file system has no locks."""
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return False
    except OSError as error:
        # Results are still complete, since each is renamed into place; only work may be done twice.
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    return True


def _unprotect(folder: Path) -> None:
    if folder in _protected:
        _protected.pop(folder).close()


@atexit.register
def _unprotect_all() -> None:
    """Close the locks in an orderly way, before the interpreter warns of files that were left open."""
    for folder in [*_protected]:
        _unprotect(folder)


def _sync(folder: Path) -> None:
    """Write the files to the disk before the rename that declares them complete."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.name != "about.json")
