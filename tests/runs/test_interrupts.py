import os
import signal
import weakref

import pytest

from imageclf.runs.interrupts import noted


class Dying:
    """Something whose end is watched."""


def press_where_python_drops_it():
    """Press Ctrl-C inside a weak reference's callback, whose exceptions Python only prints."""
    dying = Dying()
    reference = weakref.ref(dying, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del dying
    return reference


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_python_drops_comes_at_the_next_batch():
    with noted() as interrupts:
        press_where_python_drops_it()
        with pytest.raises(KeyboardInterrupt):
            interrupts.on_train_batch_start(None, None, None, 0)


def test_without_ctrl_c_no_batch_is_interrupted():
    with noted() as interrupts:
        assert interrupts.on_train_batch_start(None, None, None, 0) is None


def test_ctrl_c_is_raised_at_once_where_python_lets_it():
    with pytest.raises(KeyboardInterrupt), noted():
        os.kill(os.getpid(), signal.SIGINT)


def test_the_handler_before_is_there_again_afterwards():
    before = signal.getsignal(signal.SIGINT)
    with noted():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
