"""Run jobs in processes of their own, so that what breaks or hangs in one ends alone."""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from tempfile import NamedTemporaryFile

from gpu_jobs import Event, Job, Setting, SkippedError

_PRELOADED = ["imageclf.launch.preloaded", "gpu_runs"]
# Characters of what a job prints that are kept.
_KEPT = 100_000
# Seconds for a process to end once it has said all: its data workers and its device take a moment.
_GRACE = 10.0
# A job may take so many times as long as on an H100 before it is taken to hang.
_PATIENCE = {"cuda": 3.0, "cpu": 20.0}


@dataclass
class _Running:
    """A job's process, and the monotonic time at which it is ended."""

    job: Job
    process: ForkServerProcess
    receiver: Connection
    log: Path
    until: float
    has_said_all: bool = False


def begin() -> None:
    """Start the fork server, which loads what all jobs need; this process goes on meanwhile."""
    _context()
    forkserver.ensure_running()


def run_jobs(
    jobs: Sequence[Job], setting: Setting, log: Path, deadline: float, at_once: int = 1
) -> Iterator[Event]:
    """Run jobs, and yield what comes of them as it comes.

    Args:
        jobs: in the order of their start.
        setting: of all of them.
        log: file that gets whatever they print, job by job.
        deadline: monotonic time by which all have ended.
        at_once: how many run side by side.
    """
    waiting, running = list(jobs), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                job, left = waiting.pop(0), deadline - time.monotonic()
                if left < job.seconds:
                    reason = f"it takes about {job.seconds:.0f} s, and {max(left, 0):.0f} s are left"
                    yield Event("skipped", job.name, reason)
                else:
                    running.append(_started(job, setting, deadline))
            for each in list(running):
                yield from _heard(each, running)
                if each not in running:
                    _keep(each, log)
            if running:
                # At once where something was said.
                wait([each.receiver for each in running], timeout=0.5)
    finally:
        for each in running:
            _kill(each)
            _keep(each, log)


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _started(job: Job, setting: Setting, deadline: float) -> _Running:
    receiver, sender = _context().Pipe(duplex=False)
    # As of now: the fork server has the variables as of its own start.
    with NamedTemporaryFile(dir=setting.folder, suffix=".log", delete=False) as file:
        log = Path(file.name)
    process = _context().Process(target=_run, args=(job, setting, log, dict(os.environ), sender))
    process.start()
    sender.close()
    hangs_at = time.monotonic() + _PATIENCE[setting.device] * job.seconds + 10
    return _Running(job, process, receiver, log, min(deadline, hangs_at))


def _heard(each: _Running, running: list[_Running]) -> Iterator[Event]:
    """Yield what a job has said; forget it once it has ended, and end it when its time is over."""
    with suppress(EOFError, OSError):
        while each.receiver.poll():
            event = each.receiver.recv()
            if event is None:
                each.has_said_all = True
                each.until = min(each.until, time.monotonic() + _GRACE)
            else:
                yield event
        if time.monotonic() < each.until:
            return
    running.remove(each)
    # What has closed its end of the pipe is about to end.
    each.process.join(timeout=1)
    hangs = each.process.is_alive()
    _kill(each)
    if not each.has_said_all:
        reason = "its time was over" if hangs else f"its process ended with code {each.process.exitcode}"
        yield Event("failed", each.job.name, reason)


def _keep(each: _Running, log: Path) -> None:
    """Move what a job has printed to the common log."""
    with log.open("a") as file:
        file.write(f"===== {each.job.name}\n{each.log.read_text(errors='replace')[-_KEPT:]}\n")
    each.log.unlink()


def _kill(each: _Running) -> None:
    """End a job's process with all that it has started."""
    assert each.process.pid is not None
    # It is its own group's first process, unless it was not even there yet.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(each.process.pid, signal.SIGKILL)
    each.process.kill()
    each.process.join()
    each.receiver.close()


def _run(job: Job, setting: Setting, log: Path, environment: dict[str, str], sender: Connection) -> None:
    """Run a job as a process of its own group, which writes to the log."""
    # The parent does without torch, and so without these.
    from imageclf.system.processes import prepare_child

    # Not of a session: what ends all that a session has started is to end it, too.
    os.setpgrp()
    prepare_child(environment, str(setting.folder))
    with log.open("w") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    _report(job, setting, log, sender)
    # Nothing comes after this.
    sender.send(None)


def _report(job: Job, setting: Setting, log: Path, sender: Connection) -> None:
    """Send the rows of a job as they come, and how it ended if not well."""
    try:
        function = getattr(import_module(job.module), job.function)
        for name, figures in function(setting, *job.arguments):
            sender.send(Event("row", name, figures))
    except SkippedError as reason:
        sender.send(Event("skipped", job.name, str(reason)))
    except BaseException as error:  # Also SystemExit, of a command that was called here.
        # A process that this one has started says why it failed in the log alone.
        said = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        traceback.print_exc()
        sender.send(Event("failed", job.name, sentence(error, *said[-1:])))


def sentence(error: BaseException, last_line: str = "") -> str:
    """Return an exception in a line or two: its type, the first and the last line, and where it was raised.

    Args:
        error: the exception.
        last_line: that was printed before.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ... ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    before = f"; the log ends with: {last_line[:200]}" if last_line else ""
    return f"{type(error).__name__}: {said[:300]}{place}{before}"
