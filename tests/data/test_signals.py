"""What a signal does to a run, and what it leaves behind."""

import os
import signal
import subprocess
import sys
import weakref

import pytest

from imageclf import Preempted
from imageclf.callbacks.preemption import Preemption
from imageclf.data.signals import PREEMPTING, blocked, forwarded, noted


class Dying:
    """Something whose end is watched."""


def press_where_python_drops_it():
    """Press Ctrl-C inside a weak reference's callback, whose exceptions Python only prints."""
    dying = Dying()
    reference = weakref.ref(dying, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del dying
    return reference


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_python_drops_comes_at_the_next_batch(tmp_path):
    with noted(tmp_path) as notice:
        press_where_python_drops_it()
        with pytest.raises(KeyboardInterrupt):
            Preemption(notice).on_train_batch_start(None, None, None, 0)


def test_without_ctrl_c_no_batch_is_interrupted(tmp_path):
    with noted(tmp_path) as notice:
        assert Preemption(notice).on_train_batch_start(None, None, None, 0) is None


def test_ctrl_c_is_raised_at_once_where_python_lets_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), noted(tmp_path):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", [*PREEMPTING, signal.SIGINT])
def test_the_handler_before_is_there_again_afterwards(tmp_path, number):
    before = signal.getsignal(number)
    with noted(tmp_path):
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) == before


def test_where_ctrl_c_is_ignored_it_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted(tmp_path):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", PREEMPTING)
def test_outside_training_a_signal_ends_the_run_at_once_and_says_how_to_go_on(tmp_path, number):
    sentence = f"ended by {number.name}; go on with hydra.run.dir={tmp_path} ckpt_path=auto"
    with pytest.raises(Preempted) as ended, noted(tmp_path):
        os.kill(os.getpid(), number)
    assert str(ended.value) == sentence


@pytest.mark.parametrize("number", PREEMPTING)
def test_inside_training_a_signal_is_a_flag(tmp_path, number):
    with noted(tmp_path) as notice:
        notice.waits = True
        os.kill(os.getpid(), number)
        assert notice.came == number


def test_the_first_signal_counts_and_later_ones_change_nothing(tmp_path):
    with noted(tmp_path) as notice:
        notice.waits = True
        os.kill(os.getpid(), signal.SIGUSR2)
        notice.waits = False
        os.kill(os.getpid(), signal.SIGTERM)
        assert notice.came == signal.SIGUSR2


def test_a_forked_child_does_not_note_the_signal_for_its_parent(tmp_path):
    with noted(tmp_path) as notice:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert notice.came is None


def test_a_blocked_signal_comes_at_the_end_of_the_block(tmp_path):
    with noted(tmp_path) as notice:
        notice.waits = True
        with blocked():
            os.kill(os.getpid(), signal.SIGTERM)
            assert notice.came is None
        assert notice.came == signal.SIGTERM


def test_signals_are_handed_on_to_other_processes():
    code = "import signal; print('ready', flush=True); print(signal.sigwait([signal.SIGUSR1]).name)"
    with (
        blocked(),
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other,
    ):
        assert other.stdout.readline() == "ready\n"
        with forwarded(lambda: [other.pid]):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, PREEMPTING)
            os.kill(os.getpid(), signal.SIGUSR1)
        assert other.stdout.read() == "SIGUSR1\n"
