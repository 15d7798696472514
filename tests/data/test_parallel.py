"""Results of other processes: the same ones in the same order, and nobody is left when they are through."""

import multiprocessing
import os
import signal
import time
from functools import partial
from multiprocessing import active_children

import numpy as np
import pytest
import torch

from imageclf import InputError
from imageclf.data import parallel
from imageclf.data.parallel import chunks, mapped, num_processes
from imageclf.system.signals import STOPPING

MEBI = 2**20


def double(number):
    """Return twice the number; even ones take their time."""
    time.sleep(0.01 * (number % 2 == 0))
    return 2 * number


def pixels(number):
    """Return arrays of various types and sizes."""
    generator = np.random.default_rng(number)
    return {
        "bytes": [generator.integers(0, 256, (number % 5, 7, 3), dtype=np.uint8) for _ in range(3)],
        "rows": generator.integers(0, 10**12, (number % 3, 6)),
        "name": f"part {number}",
    }


def refuse(number):
    """Refuse the number three, as a mistake of the user's."""
    if number == 3:
        raise InputError("3.jpg: not a picture")
    return number


def fail(number, error):
    """Fail in another way."""
    raise error


def die(number):
    """End without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def threads_and_pid(number):
    """Tell in how many threads torch computes, and which process this is."""
    time.sleep(0.01)
    return torch.get_num_threads(), os.getpid()


def run(function, items, processes, array_bytes=0):
    """Return all results."""
    with mapped(function, items, processes, array_bytes) as results:
        return list(results)


def same(one, other):
    """Compare what `pixels` returns, types and shapes as well."""
    arrays = [[*each["bytes"], each["rows"]] for each in (one, other)]
    equal = [a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*arrays, strict=True)]
    return all(equal) and one["name"] == other["name"]


@pytest.mark.parametrize("processes", [0, 1, 2, 3, 16])
def test_results_come_in_the_order_of_the_items(processes):
    assert run(double, range(50), processes) == [2 * number for number in range(50)]


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5])
def test_there_may_be_fewer_items_than_processes_or_none(processes, count):
    assert run(double, range(count), processes) == [2 * number for number in range(count)]


# Slots that hold all arrays, some of them, none.
@pytest.mark.parametrize("array_bytes", [MEBI, 200, 0])
def test_arrays_arrive_whole_in_shared_memory_or_through_the_pipe(array_bytes):
    with mapped(pixels, range(40), 2, array_bytes) as results:
        assert [same(result, pixels(number)) for number, result in enumerate(results)] == [True] * 40


def test_arrays_are_not_overwritten_before_the_next_result_is_asked_for():
    with mapped(pixels, range(40), 2, MEBI) as results:
        for number, result in enumerate(results):
            # Time enough for the others to run ahead as far as they may.
            time.sleep(0.005)
            assert same(result, pixels(number))


@pytest.mark.parametrize("method", ["forkserver", pytest.param("spawn", marks=pytest.mark.long)])
def test_processes_may_start_otherwise_than_by_a_fork(monkeypatch, method):
    context = multiprocessing.get_context(method)
    monkeypatch.setattr(multiprocessing, "get_context", lambda: context)
    with mapped(pixels, range(9), 2, MEBI) as results:
        assert [same(result, pixels(number)) for number, result in enumerate(results)] == [True] * 9
    assert active_children() == []


@pytest.mark.parametrize("processes", [0, 2])
def test_a_mistake_is_raised_as_it_is_behind_the_results_before_it(processes):
    seen = []
    with pytest.raises(InputError) as refused, mapped(refuse, range(9), processes) as results:
        seen.extend(results)
    assert (str(refused.value), seen) == ("3.jpg: not a picture", [0, 1, 2])


def test_a_full_disk_keeps_its_number():
    with pytest.raises(OSError, match="No space left") as failed:
        run(partial(fail, error=OSError(28, "No space left on device")), range(3), 2)
    assert failed.value.errno == 28


def test_any_other_failure_is_raised_with_its_trace():
    with pytest.raises(RuntimeError, match=r"(?s)in fail.*KeyError: 'what'"):
        run(partial(fail, error=KeyError("what")), range(3), 2)


def test_a_process_that_is_killed_is_reported_with_the_signal():
    with pytest.raises(
        RuntimeError, match=r"was killed by SIGKILL: .* memory; give fewer workers by data\.num_workers"
    ):
        run(die, range(3), 2)


def test_each_process_computes_in_one_thread_and_all_take_part():
    found = set(run(threads_and_pid, range(40), 3))
    assert {threads for threads, _ in found} == {1}
    assert len(found) == 3 and os.getpid() not in {pid for _, pid in found}


def test_without_processes_this_one_does_it_all():
    assert {pid for _, pid in run(threads_and_pid, range(3), 0)} == {os.getpid()}


def test_nobody_is_left_at_the_end():
    run(double, range(9), 3)
    assert active_children() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_nobody_is_left_when_whoever_looks_at_the_results_fails(error):
    with pytest.raises(error), mapped(double, range(1000), 3) as results:
        next(results)
        assert len(active_children()) == 3
        raise error
    assert active_children() == []


def test_nobody_is_left_when_a_result_is_an_error():
    with pytest.raises(InputError):
        run(refuse, range(9), 3)
    assert active_children() == []


def test_a_busy_process_is_not_waited_for():
    with pytest.raises(KeyboardInterrupt), mapped(time.sleep, [0, 600, 600], 2) as results:
        next(results)
        started = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("number", STOPPING)
def test_processes_leave_a_signal_to_their_parent(number):
    with mapped(double, range(200), 2) as results:
        next(results)
        for process in active_children():
            os.kill(process.pid, number)
        assert list(results) == [2 * each for each in range(1, 200)]


def test_positions_are_cut_into_ranges_that_hold_them_all():
    assert chunks(0, 4) == []
    assert [list(each) for each in chunks(9, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


@pytest.fixture
def four_cores(monkeypatch):
    """Let this process have four cores."""
    monkeypatch.setattr(parallel, "available_cores", lambda: 4)


@pytest.fixture
def small(tmp_path):
    """Write a small file."""
    (tmp_path / "small.jpg").write_bytes(bytes(1000))
    return str(tmp_path / "small.jpg")


def test_many_files_are_worth_a_process_for_each_core(four_cores, small):
    assert num_processes([small] * 500) == 4


def test_some_files_are_not_even_if_one_is_missing(four_cores, small):
    assert num_processes([small] * 300 + ["missing.jpg"]) == 0


def test_some_large_files_are(four_cores, tmp_path):
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(6 * MEBI)
    assert num_processes([str(tmp_path / "large.jpg")] * 2) == 0
    assert num_processes([str(tmp_path / "large.jpg")] * 3) == 4


def test_with_one_core_this_process_does_it_all(monkeypatch, small):
    monkeypatch.setattr(parallel, "available_cores", lambda: 1)
    assert num_processes([small] * 500) == 0


def test_a_process_that_may_start_none_does_it_all(four_cores, monkeypatch, small):
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert num_processes([small] * 500) == 0
