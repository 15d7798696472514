"""The line that says how far a long step is: on a terminal, in a file, and what it measures."""

import doctest
import io
import logging
import sys

import pytest
from rich.console import Console

from imageclf.system import command_line, progress
from imageclf.system.progress import EVERY, PATIENCE, REFRESH, Display, Step, step_words


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def terminal():
    """A terminal of 60 columns that remembers what was written to it."""
    return Console(file=io.StringIO(), force_terminal=True, width=60, _environ={"TERM": "xterm"})


@pytest.fixture
def said():
    return []


def written(terminal: Console) -> str:
    return terminal.file.getvalue()


@pytest.mark.parametrize("module", [progress, command_line])
def test_the_examples_in_the_docstrings_hold(module):
    failed, attempted = doctest.testmod(module)
    assert failed == 0 and attempted >= 2


def test_a_run_does_not_end_before_its_step():
    step = Step("head", 600, "pictures", None, started=0.0, done=200)
    assert step_words(step, 10.0, run_ends=13.0).endswith("20 s left; the run: about 20 s left")


def test_a_step_that_ends_at_once_shows_nothing(terminal, clock):
    with Display(terminal, clock).track("check", 10) as advance:
        for _ in range(10):
            clock.now += PATIENCE / 20
            advance(1)
    assert written(terminal) == ""


def test_on_a_terminal_a_step_has_one_line_which_is_gone_afterwards(terminal, clock):
    with Display(terminal, clock).track("check", 100) as advance:
        clock.now = 2.0
        advance(50)
        assert "check: 50 of 100 pictures, 25/s, 2 s left" in written(terminal)
    assert written(terminal).endswith("\x1b[1A\x1b[2K")


def test_the_line_is_cut_at_the_terminals_width(terminal, clock):
    with Display(terminal, clock).track("x" * 100, 100) as advance:
        clock.now = 2.0
        advance(50)
    assert "x" * 59 + "…" in written(terminal)
    assert "x" * 60 not in written(terminal)


def test_a_name_is_neither_obeyed_nor_taken_for_markup(terminal, clock):
    with Display(terminal, clock).track("[/red]\x1b]0;title\x07", 100) as advance:
        clock.now = 2.0
        advance(50)
    assert r"[/red]\x1b]0;title\x07: 50 of" in written(terminal)


def test_the_line_is_drawn_a_few_times_a_second_at_most(terminal, clock):
    with Display(terminal, clock).track("check", 10_000) as advance:
        for _ in range(1000):
            clock.now += 0.01
            advance(1)
    drawn = written(terminal).count("check:")
    assert 0.8 * (10 - PATIENCE) / REFRESH <= drawn <= (10 - PATIENCE) / REFRESH + 2


def test_in_a_file_a_step_is_a_line_of_the_log_now_and_then(clock, said):
    with Display(None, clock, said.append).track("check", 1000) as advance:
        for _ in range(100):
            clock.now += 1.0
            advance(1)
    assert len(said) == 100 // EVERY
    assert said[0] == "check: 30 of 1,000 pictures, 1/s, 16 min left"


def test_the_innermost_step_is_shown_and_the_outer_one_again_when_it_ends(clock, said):
    display = Display(None, clock, said.append)
    with display.track("outer", 10) as outer:
        with display.track("inner", 10) as inner:
            clock.now = 31.0
            inner(1)
        clock.now = 62.0
        outer(1)
    assert [line.partition(":")[0] for line in said] == ["inner", "outer"]


def test_of_several_ranks_the_others_show_nothing_but_measure(clock, said):
    display = Display(None, clock, said.append, shows=False)
    with display.track("check", 10, kind=("evaluation", 128)) as advance:
        for _ in range(5):
            clock.now += 100.0
            advance(1)
    assert said == []
    # Without the first one, which warms up.
    assert display.measured == {("evaluation", 128): (400.0, 4)}


def test_what_a_step_waits_for_is_not_measured(clock):
    display = Display(None, clock)
    with display.track("validation", 10, kind=("evaluation", 128)) as advance:
        for _ in range(3):
            clock.now += 1.0
            advance(1)
        clock.now += 500.0
    assert display.measured == {("evaluation", 128): (2.0, 2)}


def test_steps_of_a_kind_are_measured_together_also_while_one_runs(clock):
    display = Display(None, clock)
    for name in ("first", "second"):
        with display.track(name, 10, kind=("evaluation", 128)) as advance:
            for _ in range(3):
                clock.now += 1.0
                advance(1)
            inside = display.measured
    assert inside == display.measured == {("evaluation", 128): (4.0, 4)}
    display.forget()
    assert display.measured == {}


def test_the_time_left_of_the_run_counts_down_inside_a_step(clock, said):
    display = Display(None, clock, said.append, run_ends=100.0)
    with display.track("check", 10) as advance:
        clock.now = 40.0
        advance(9)
    assert said[0].endswith("; the run: about 60 s left")


def test_a_terminal_that_is_gone_does_not_end_the_step(clock):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    terminal = Console(file=Gone(), force_terminal=True, _environ={"TERM": "xterm"})
    with Display(terminal, clock).track("check", 10) as advance:
        clock.now = 2.0
        advance(5)
    assert not logging.getLogger().handlers or sys.stdout is not None


def test_messages_scroll_above_the_line(monkeypatch, clock):
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    handler = logging.StreamHandler(screen)
    logging.getLogger().addHandler(handler)
    try:
        terminal = Console(file=screen, force_terminal=True, width=60, _environ={"TERM": "xterm"})
        with Display(terminal, clock).track("check", 10) as advance:
            clock.now = 2.0
            advance(5)
            logging.getLogger().warning("a message")
            print("a print")
    finally:
        logging.getLogger().removeHandler(handler)
    assert (sys.stdout, handler.stream) == (screen, screen)
    shown = screen.getvalue()
    # The line is wiped, the message written, and the line drawn again below it.
    for words in ("a message", "a print"):
        before, after = shown.split(words)
        assert before.endswith("\r\x1b[2K")
        assert after.startswith("\ncheck: 5 of 10")
