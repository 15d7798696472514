"""The memory of a process and of all that it started, read off /proc."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

PROC = Path("/proc")


def memory_kind() -> str | None:
    """Return what is read: PSS (shared pages are divided among those who share them), RSS or nothing."""
    kinds = {"PSS": PROC / "self" / "smaps_rollup", "RSS": PROC / "self" / "status"}
    return next((kind for kind, path in kinds.items() if path.exists()), None)


class PeakMemory:
    """Watch the memory of a process and its descendants in a thread, as a context.

    `mib` is the largest sum seen, in MiB; None where there is no /proc.

    Args:
        pid: of the process.
        interval: seconds between two looks.
    """

    def __init__(self, pid: int, interval: float = 0.1) -> None:
        self.mib: float | None = None
        self._pid = pid
        self._interval = interval
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        read = {"PSS": _pss, "RSS": _rss, None: None}[memory_kind()]
        if read is None:
            return
        while True:
            self.mib = max(self.mib or 0.0, tree_memory(self._pid, read))
            if self._over.wait(self._interval):
                return


def tree_memory(pid: int, read: Callable[[int], int]) -> float:
    """Return the memory of a process and its descendants, MiB; `read` gives that of one, KiB."""
    total = 0
    for each in _tree(pid):
        # One that has just ended has none.
        with suppress(OSError, StopIteration):
            total += read(each)
    return total / 1024


def _tree(pid: int) -> Iterator[int]:
    parents = dict(_parents())
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
        yield each


def _parents() -> Iterator[tuple[int, int]]:
    for path in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name, in brackets, may hold anything.
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])


def _pss(pid: int) -> int:
    return _field(PROC / str(pid) / "smaps_rollup", "Pss:")


def _rss(pid: int) -> int:
    return _field(PROC / str(pid) / "status", "VmRSS:")


def _field(path: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith(name))
