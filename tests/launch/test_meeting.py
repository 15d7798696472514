"""The tasks of torchrun agree on a run in whatever order they come, also after a restart."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import TCPStore

from imageclf.launch.meeting import ask, store_of, tell
from imageclf.launch.pool import open_pool
from imageclf.launch.tasks import broadcasting, train_broadcast_run
from imageclf.system.errors import Failure
from imageclf.system.processes import held_port
from imageclf.system.world import World

FIRST, SECOND = World(0, 2), World(1, 2)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[TCPStore]:
    """A store like torchrun's, which it keeps when it restarts its tasks."""
    store = TCPStore("127.0.0.1", 0, is_master=True, timeout=timedelta(seconds=60), wait_for_workers=False)
    said = {"TORCHELASTIC_RUN_ID": "none", "RANK": "0", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "2"}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    for name, value in (said | place | {"TORCHELASTIC_USE_AGENT_STORE": "True"}).items():
        monkeypatch.setenv(name, value)
    # So that a task which nobody answers ends, as does one that nobody asks.
    for module in ("meeting", "tasks"):
        monkeypatch.setattr(f"imageclf.launch.{module}.WAIT", timedelta(seconds=30))
    # Tasks are processes; here they are threads, whose connections are made before a meeting moves the port.
    store_of.cache_clear()
    for world in (FIRST, SECOND):
        store_of(world)
    yield store
    store_of.cache_clear()


@pytest.fixture
def tasks() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def wait_until_told(store: TCPStore, run_dir: str) -> None:
    """Wait until the first task has answered the question that it finds in the store."""
    name = store.get("imageclf/asks/1").decode()
    deadline = time.monotonic() + 30.0
    while not store.get(f"imageclf/told/{name}").decode().endswith(run_dir):
        assert time.monotonic() < deadline, "the first task tells nothing"
        time.sleep(0.01)


def test_a_task_that_asks_is_told_the_run(store: TCPStore, tasks: ThreadPoolExecutor) -> None:
    heard = tasks.submit(ask, SECOND)
    tell(FIRST, "runs/one", 30.0)
    assert heard.result(30.0) == "runs/one"


def test_after_a_restart_the_first_task_may_tell_before_the_other_asks(
    store: TCPStore, tasks: ThreadPoolExecutor
) -> None:
    heard = tasks.submit(ask, SECOND)
    tell(FIRST, "runs/one", 30.0)
    heard.result(30.0)
    told = tasks.submit(tell, FIRST, "runs/two", 30.0)
    wait_until_told(store, "runs/two")
    assert tasks.submit(ask, SECOND).result(30.0) == "runs/two"
    told.result(30.0)


@pytest.mark.fault(
    "Several processes and clusters",
    "A run is finished already, and a task of it comes late",
    "It is told so, and ends too",
)
def test_the_first_task_waits_for_one_that_comes_late_to_a_finished_run(
    store: TCPStore, tasks: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_it_finished() -> None:
        with broadcasting(FIRST):
            pass

    # The patience after a refusal, when the launcher ends all tasks.
    monkeypatch.setattr("imageclf.launch.tasks._REFUSAL", 0.0)
    ended = tasks.submit(find_it_finished)
    assert tasks.submit(ask, SECOND).result(60.0) == ""
    ended.result(60.0)


def test_a_signal_to_a_task_that_waits_for_the_first_one_is_a_preemption(store: TCPStore) -> None:
    with open_pool() as pool:
        pool.start(1, train_broadcast_run, RANK="1")
        store.wait(["imageclf/asks/1"], timedelta(seconds=60))
        os.kill(os.getpid(), signal.SIGUSR2)
        assert pool.wait() == {1: Failure("preempted", 75, "ended by SIGUSR2; start it again")}


def test_a_held_port_is_open_to_torch_and_to_nobody_else() -> None:
    with held_port() as held, socket.socket() as other:
        port = held.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            other.bind(("", port))
        store = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
        store.set("key", "value")
        assert store.get("key") == b"value"
