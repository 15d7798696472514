"""What a signal does to a run, and what it leaves behind."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from imageclf import Preempted
from imageclf.callbacks.always.preemption import Preemption
from imageclf.system.signals import PREEMPTING, STOPPING, blocked, forwarded, resuming, stop_notice


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
    with stop_notice(tmp_path) as notice:
        press_where_python_drops_it()
        with pytest.raises(KeyboardInterrupt):
            Preemption(notice).on_train_batch_start(None, None, None, 0)


def test_without_ctrl_c_no_batch_is_interrupted(tmp_path):
    with stop_notice(tmp_path) as notice:
        assert Preemption(notice).on_train_batch_start(None, None, None, 0) is None


def test_ctrl_c_is_raised_at_once_where_python_lets_it(tmp_path):
    with pytest.raises(KeyboardInterrupt), stop_notice(tmp_path):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", STOPPING)
def test_the_handler_before_is_there_again_afterwards(tmp_path, number):
    before = signal.getsignal(number)
    with stop_notice(tmp_path):
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) == before


@pytest.fixture(autouse=True)
def hangup_is_heard():
    """Take SIGHUP as a terminal starts a program with it: nohup would have the suite ignore it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def ignored():
    """Ignore Ctrl-C, as a process does that a script has started with &."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_raised_also_where_the_process_was_started_without_it(tmp_path, ignored):
    with pytest.raises(KeyboardInterrupt), stop_notice(tmp_path):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("number", STOPPING)
def test_outside_training_a_signal_ends_the_run_at_once_and_says_how_to_go_on(tmp_path, number):
    error, name = (
        (KeyboardInterrupt, "Ctrl-C") if number == signal.SIGINT else (Preempted, signal.Signals(number).name)
    )
    with pytest.raises(error) as ended, stop_notice(tmp_path):
        os.kill(os.getpid(), number)
    assert str(ended.value) == (
        f"ended by {name}; go on with: imageclf-train hydra.run.dir={tmp_path} ckpt_path=auto"
    )


def test_the_command_that_goes_on_is_one_word_for_a_shell_whatever_the_directory_is_called():
    words = shlex.split(resuming(Path("my runs/a=b,[1]/it's $5")))
    assert (words[0], words[2]) == ("imageclf-train", "ckpt_path=auto")
    override = OverridesParser.create().parse_override(words[1])
    assert (override.key_or_group, override.value()) == ("hydra.run.dir", "my runs/a=b,[1]/it's $5")


def test_the_first_ctrl_c_in_training_is_answered_at_once_and_the_second_ends_the_run(tmp_path, capfd):
    with pytest.raises(KeyboardInterrupt), stop_notice(tmp_path) as notice:
        notice.waits = True
        os.kill(os.getpid(), signal.SIGINT)
        assert (notice.came, notice.at_once) == (signal.SIGINT, False)
        os.kill(os.getpid(), signal.SIGINT)
    said = "imageclf: saving at the next safe point; press Ctrl-C again to end at once\n"
    assert capfd.readouterr() == ("", said)


@pytest.mark.parametrize("environment", [{"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2"}])
def test_a_task_of_torchrun_leaves_the_second_ctrl_c_to_it(tmp_path, monkeypatch, capfd, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with stop_notice(tmp_path) as notice:
        notice.waits = True
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert (notice.came, notice.at_once, capfd.readouterr().err) == (signal.SIGINT, False, "")


def test_where_nohup_ignores_it_a_closed_terminal_changes_nothing(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_notice(tmp_path) as notice:
            os.kill(os.getpid(), signal.SIGHUP)
            assert notice.came is None
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", STOPPING)
def test_inside_training_a_signal_is_a_flag(tmp_path, number):
    with stop_notice(tmp_path) as notice:
        notice.waits = True
        os.kill(os.getpid(), number)
        assert notice.came == number


def test_the_first_signal_counts_and_later_ones_change_nothing(tmp_path):
    with stop_notice(tmp_path) as notice:
        notice.waits = True
        os.kill(os.getpid(), signal.SIGUSR2)
        notice.waits = False
        os.kill(os.getpid(), signal.SIGTERM)
        assert notice.came == signal.SIGUSR2


def test_a_forked_child_does_not_note_the_signal_for_its_parent(tmp_path):
    with stop_notice(tmp_path) as notice:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert notice.came is None


def test_a_blocked_signal_comes_at_the_end_of_the_block(tmp_path):
    with stop_notice(tmp_path) as notice:
        notice.waits = True
        with blocked():
            signal.raise_signal(signal.SIGTERM)
            assert notice.came is None
        assert notice.came == signal.SIGTERM


@pytest.fixture
def taken_elsewhere():
    """Return a function that sends a signal to a thread that lets it through, and waits until it is taken."""
    done, (reader, writer) = threading.Event(), os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer)
    thread = threading.Thread(target=done.wait)
    thread.start()

    def send(number):
        signal.pthread_kill(thread.ident, number)
        # Python writes the number there as soon as any thread has taken it.
        assert os.read(reader, 1) == bytes([number])

    yield send
    done.set()
    thread.join()
    signal.set_wakeup_fd(before)
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("number", PREEMPTING)
def test_a_signal_that_another_thread_takes_comes_at_the_end_of_the_block_too(
    tmp_path, taken_elsewhere, number
):
    inside = []
    with stop_notice(tmp_path) as notice, pytest.raises(Preempted), blocked():
        taken_elsewhere(number)
        inside.append(notice.came)
    assert (inside, notice.came) == ([None], number)


def test_ctrl_c_that_another_thread_takes_is_raised_at_the_end_of_the_block(tmp_path, taken_elsewhere):
    passed = []
    with pytest.raises(KeyboardInterrupt), stop_notice(tmp_path), blocked():
        taken_elsewhere(signal.SIGINT)
        passed.append("the block")
    assert passed == ["the block"]


def test_of_blocks_inside_each_other_the_outer_ones_end_counts(tmp_path, taken_elsewhere):
    with stop_notice(tmp_path) as notice:
        notice.waits = True
        with blocked():
            with blocked():
                taken_elsewhere(signal.SIGUSR1)
            assert notice.came is None
        assert notice.came == signal.SIGUSR1


def test_a_signal_comes_also_when_the_block_fails(tmp_path, taken_elsewhere):
    with stop_notice(tmp_path), pytest.raises(Preempted) as ended, blocked():
        taken_elsewhere(signal.SIGTERM)
        raise ValueError("failed inside")
    assert isinstance(ended.value.__context__, ValueError)


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, print])
def test_after_the_block_handlers_and_mask_are_as_before(handler):
    before = signal.signal(signal.SIGUSR1, handler)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        with blocked():
            assert signal.getsignal(signal.SIGUSR1) != handler
        assert signal.getsignal(signal.SIGUSR1) == handler
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_child_that_is_forked_inside_leaves_the_signal_to_its_parent(tmp_path, taken_elsewhere):
    with stop_notice(tmp_path) as notice:
        notice.waits = True
        with blocked():
            taken_elsewhere(signal.SIGTERM)
            child = os.fork()
        if child == 0:
            os._exit(0 if notice.came is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert notice.came == signal.SIGTERM


def test_a_thread_can_block_signals_for_its_children(tmp_path):
    masks = []

    def block():
        with blocked():
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert masks and set(PREEMPTING) <= masks[0]


def test_after_a_run_a_rank_holds_signals_back_as_before(tmp_path):
    with blocked():
        with stop_notice(tmp_path):
            assert not set(PREEMPTING) & signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert set(PREEMPTING) <= signal.pthread_sigmask(signal.SIG_BLOCK, ())


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
