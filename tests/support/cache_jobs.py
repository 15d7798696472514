"""Jobs that share a cache, each in its own process."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from fork_server import FORK_SERVER
from presets import caching

from imageclf.data.pictures import shrinking
from imageclf.data.pictures.cache import Cache, Kind
from imageclf.data.pictures.verify import unreadable

AMPLE = 10**12


def start(job: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a job; it ends with this process at the latest."""
    process = FORK_SERVER.Process(target=job, args=arguments, daemon=True)
    process.start()
    return process


def run(job: Callable[..., None], *arguments: Any) -> None:
    """Run a job to its end."""
    process = start(job, *arguments)
    process.join(60)
    assert process.exitcode == 0


def wait_until(condition: Callable[[], bool], process: BaseProcess) -> None:
    """Return as soon as a condition holds; fail where the process ends before."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.is_alive(), "the job ended before"
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.0005)


def writing(size: int) -> Callable[[Path], None]:
    """Return a builder that writes so many bytes."""

    def build(folder: Path) -> None:
        (folder / "content.bin").write_bytes(bytes(size))

    return build


def fill(root: Path, sizes: dict[str, int], kind: Kind = "features", budget: int = AMPLE) -> None:
    """Make results of so many bytes by key."""
    for key, size in sizes.items():
        Cache(root, budget).get(kind, key, {}, writing(size))


def keep_store(root: Path, paths: Sequence[str]) -> None:
    """Keep the pictures shrunk for 32 px."""
    caching(root).stores(paths, {32: 64}, "crop")


def hold(root: Path, key: str, holds: Any, may_end: Any) -> None:
    """Use a result until told to end."""
    assert Cache(root, AMPLE).find("features", key) is not None
    holds.set()
    may_end.wait(60)


@contextmanager
def used_elsewhere(root: Path, key: str, job: Callable[..., None] | None = None) -> Iterator[None]:
    """Have another process use a result meanwhile, by `hold` or another job."""
    holds, may_end = FORK_SERVER.Event(), FORK_SERVER.Event()
    user = start(job or hold, root, key, holds, may_end)
    try:
        assert holds.wait(60)
        yield
    finally:
        may_end.set()
        user.join(60)


def build_and_hold(root: Path, key: str, may_start: Any, holds: Any, may_end: Any) -> None:
    """Make a result, and use it until told to end."""
    may_start.wait(60)
    Cache(root, AMPLE).get("features", key, {}, writing(10))
    holds.set()
    may_end.wait(60)


class LateCache(Cache):
    """A cache whose user is slow between the first look and what follows from it."""

    def find(self, kind: Kind, key: str) -> Path | None:
        found = super().find(kind, key)
        if not looked.is_set():
            looked.set()
            may_go_on.wait(60)
        return found


looked: Any
may_go_on: Any


def look_and_get_later(root: Path, key: str, has_looked: Any, goes_on: Any, has_it: Any) -> None:
    """Ask for a result that another job makes between the first look and the second."""
    global looked, may_go_on
    looked, may_go_on = has_looked, goes_on
    LateCache(root, AMPLE).get("features", key, {}, writing(10))
    has_it.set()


@contextmanager
def decodings_noted(root: Path) -> Iterator[None]:
    """Write down which files this process decodes meanwhile."""
    decoded = []

    def note(path: str, *rest: Any, **more: Any) -> Any:
        decoded.append(path)
        return read_scales(path, *rest, **more)

    read_scales, shrinking.read_scales = shrinking.read_scales, note
    yield
    Path(root, f"decoded-{os.getpid()}.txt").write_text("\n".join(decoded))


def make_store(paths: Sequence[str], root: Path, cache: str, side: int, barrier: Any = None) -> None:
    """Make a store of pictures as a run does, and write down which files were decoded by which process."""
    with decodings_noted(root):
        if barrier is not None:
            barrier.wait(60)
        caching(root, cache=cache).stores(paths, {32: side}, "crop")


def check_and_make_store(paths: Sequence[str], root: Path, cache: str, side: int, barrier: Any) -> None:
    """Start as a run does that finds pictures which nobody has looked at."""
    with decodings_noted(root):
        barrier.wait(60)
        assert unreadable(paths, caching(root, cache=cache), {32: side}, "crop") == {}
        caching(root, cache=cache).stores(paths, {32: side}, "crop")


def get_as_nobody(root: Path, about: str) -> None:
    """Ask for a result as a user who may not write there, and write the mistake down."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    try:
        Cache(root, AMPLE).get("features", "key", {}, writing(10))
    except Exception as error:
        Path(about).write_text(f"{type(error).__name__}: {error}")


def hold_as_nobody(root: Path, key: str, holds: Any, may_end: Any) -> None:
    """Use a result as a user who may not write there."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    hold(root, key, holds, may_end)


def get_with_small_files(root: Path, about: str) -> None:
    """Ask for a result of 100 kB where no file may have more than 10 kB, and write the mistake down."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        Cache(root, AMPLE).get("features", "key", {}, writing(100_000))
    except Exception as error:
        Path(about).write_text(f"{type(error).__name__}: {error}")
