"""A contestant in a process of its own: time its epochs, look into its batches, watch its memory."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context, set_start_method
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from memory import PeakMemory

if TYPE_CHECKING:
    from torch import Tensor

Job = Literal["inspect", "time"]


@dataclass(frozen=True)
class Entry:
    """Where a contestant is found; by name, so that only its own process imports it.

    Args:
        name: in the table.
        module: beside this one.
        function: takes the parts of a `Task` and returns a reader of epochs, by number.
        arguments: further ones of the function.
        dtype: of its batches.
    """

    name: str
    module: str
    function: str
    arguments: tuple[str, ...] = ()
    dtype: str = "uint8"


@dataclass(frozen=True)
class Task:
    """What every contestant is to do.

    Args:
        folder: holds class folders of pictures.
        size: pixels a side.
        workers: processes of a loader.
        batch_size: of every batch.
    """

    folder: Path
    size: int
    workers: int
    batch_size: int


@dataclass(frozen=True)
class Inspection:
    """What an epoch held.

    Args:
        kinds: the shapes and types of its batches.
        images: number of pictures.
        hashes: of the pictures' pixels.
        mib: peak memory, or None if there was no way to know.
    """

    kinds: set[tuple[tuple[int, ...], str]]
    images: int
    hashes: set[int]
    mib: float | None = None


class Contestant:
    """A loader in a fresh process, so that nobody pays for another one's imports, threads or memory.

    Args:
        entry: says which.
        task: the same for all.

    Raises:
        RuntimeError: from any method, when the process has ended; it has said why on stderr.
    """

    def __init__(self, entry: Entry, task: Task) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, entry, task))
        self._process.start()
        theirs.close()

    def __enter__(self) -> "Contestant":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The other end closes with this one, and then the process ends by itself, after its workers.
        self._connection.close()
        self._process.join()

    def time(self, number: int) -> float:
        """Return the images per second of an epoch."""
        images, seconds = self._ask("time", number)
        return float(images / seconds)

    def inspect(self, number: int) -> Inspection:
        """Read an epoch slowly, with a look at every picture and at the memory."""
        assert self._process.pid is not None
        with PeakMemory(self._process.pid) as memory:
            kinds, images, hashes = self._ask("inspect", number)
        return Inspection(kinds, images, hashes, memory.mib)

    def _ask(self, job: Job, number: int) -> Any:
        try:
            self._connection.send((job, number))
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError("a contestant has ended; the reason stands above") from error


def _serve(connection: Connection, entry: Entry, task: Task) -> None:
    import torch

    # A spawned process would spawn in turn; the platform's default is what the loaders have elsewhere.
    set_start_method(None, force=True)
    # Its threads would take the cores from the workers.
    torch.set_num_threads(1)
    build = getattr(import_module(entry.module), entry.function)
    epochs = build(task.folder, task.size, task.workers, task.batch_size, *entry.arguments)
    jobs = {"inspect": _inspect, "time": _time}
    while True:
        try:
            job, number = connection.recv()
        except EOFError:
            return
        connection.send(jobs[job](epochs(number)))


def _time(batches: Iterator["Tensor"]) -> tuple[int, float]:
    images = 0
    start = time.perf_counter()
    for batch in batches:
        images += len(batch)
    return images, time.perf_counter() - start


def _inspect(batches: Iterator["Tensor"]) -> tuple[set[tuple[tuple[int, ...], str]], int, set[int]]:
    kinds, hashes, images = set(), set(), 0
    for batch in batches:
        kinds.add((tuple(batch.shape), str(batch.dtype).removeprefix("torch.")))
        hashes |= {zlib.crc32(image.contiguous().numpy()) for image in batch}
        images += len(batch)
    return kinds, images, hashes
