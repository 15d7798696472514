"""Files that a run writes, and what becomes of a signal meanwhile."""

import os
import signal
import threading

import pytest
import torch

from imageclf import Preempted
from imageclf.model.weights.files import write_tensors
from imageclf.system.signals import stop_notice


@pytest.fixture
def interrupted(tmp_path):
    """Return a function that returns a path: a signal comes when part of what is written there is read."""
    readers = []

    def path_with(number):
        path, main = tmp_path / "pipe", threading.main_thread().ident
        os.mkfifo(path)

        def read():
            with path.open("rb") as pipe:
                pipe.read(1)
                signal.pthread_kill(main, number)
                pipe.read()

        readers.append(threading.Thread(target=read))
        readers[0].start()
        return path

    yield path_with
    readers[0].join()


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Preempted)]
)
def test_a_signal_while_torch_writes_ends_the_run_as_anywhere_else(interrupted, tmp_path, number, raised):
    # More than a pipe holds: torch is inside its writer when the signal comes.
    with pytest.raises(raised), stop_notice(tmp_path):
        write_tensors({"weight": torch.ones(2**21)}, interrupted(number))
