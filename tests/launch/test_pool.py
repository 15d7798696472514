"""Processes side by side: their results, their failures, signals, and their end."""

import os
import signal
import time
from functools import partial
from multiprocessing import forkserver

import pytest

from imageclf import InputError, Preempted
from imageclf.launch.pool import open_pool
from imageclf.system.errors import Failure
from imageclf.system.signals import PREEMPTING

ERRORS = {
    "input": InputError,
    "preempted": Preempted,
    "failed": RuntimeError,
    "interrupted": KeyboardInterrupt,
}


@pytest.fixture(scope="module", autouse=True)
def own_fork_server() -> None:
    """Stop the fork server of earlier tests: processes have the signal mask of what started their server."""
    forkserver._forkserver._stop()


def fail(status: str) -> None:
    raise ERRORS[status]("on purpose")


def end_by(number: int) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PREEMPTING)
    os.kill(os.getpid(), number)
    time.sleep(60)


def wait_for_signal() -> str:
    return signal.sigwait(PREEMPTING).name


@pytest.fixture
def hears_hangup():
    """Take SIGHUP as a terminal starts a program with it: nohup would have the suite ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_results_come_with_the_numbers_of_their_processes():
    results = {}
    with open_pool() as pool:
        for number in range(3):
            # More than a pipe holds.
            pool.start(number, partial("x".__mul__, number * 100_000))
        while pool.running:
            results |= pool.wait()
        assert pool.wait() == {}
    assert results == {number: "x" * number * 100_000 for number in range(3)}


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        ("input", 1, "on purpose"),
        ("failed", 2, "RuntimeError: on purpose"),
        ("preempted", 75, "on purpose"),
        ("interrupted", 130, "on purpose"),
    ],
)
def test_an_error_is_a_failure_with_status_code_and_cause(status, code, cause):
    with open_pool() as pool:
        pool.start(7, partial(fail, status))
        failure = pool.wait()[7]
    assert failure[:3] == (status, code, cause)
    assert failure.traceback.endswith("RuntimeError: on purpose\n") == (status == "failed")


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (signal.SIGKILL, Failure("killed", 2, "ended by SIGKILL; was it out of memory?")),
        # A run starts: nothing is worth saving yet, and no handler is there.
        *((number, Failure("preempted", 75, f"ended by {number.name}")) for number in PREEMPTING),
        # A real-time signal without a name.
        (40, Failure("killed", 2, "ended by signal 40; was it out of memory?")),
    ],
)
def test_a_process_that_a_signal_ends_has_failed(number, failure, hears_hangup):
    with open_pool() as pool:
        pool.start(0, partial(end_by, number))
        assert pool.wait() == {0: failure}


def test_a_process_that_leaves_without_a_result_has_failed():
    with open_pool() as pool:
        pool.start(0, partial(os._exit, 3))
        assert pool.wait() == {0: Failure("failed", 2, "ended with exit code 3")}


@pytest.mark.parametrize("number", PREEMPTING)
def test_a_signal_is_forwarded_to_every_process_and_remembered(number, hears_hangup):
    with open_pool() as pool:
        for each in (0, 1):
            pool.start(each, wait_for_signal)
        os.kill(os.getpid(), number)
        ended = {}
        while pool.running:
            ended |= pool.wait()
        assert ended == {0: number.name, 1: number.name}
        assert pool.signals == [number]


def test_a_signal_that_came_before_a_process_started_is_forwarded_to_it(hears_hangup):
    with open_pool() as pool:
        signal.raise_signal(signal.SIGUSR2)
        pool.start(0, wait_for_signal)
        assert pool.wait() == {0: "SIGUSR2"}


def test_the_end_of_the_block_kills_what_still_runs():
    with open_pool() as pool:
        pool.start(0, partial(time.sleep, 600))
        process = pool.running[0].process
    assert process.exitcode == -signal.SIGKILL
