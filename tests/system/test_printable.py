"""Values and tables as a terminal shows them."""

import doctest

import pytest

from imageclf.system import printable
from imageclf.system.printable import console, written


def test_the_examples_in_the_docstrings_are_right():
    tried = doctest.testmod(printable)
    assert tried.attempted > 0
    assert tried.failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (3.0, "3.0"),
        (0.5, "0.5"),
        (1e-4, "0.0001"),
        ("a b", "a b"),
        ([1, 2], "[1,2]"),
        ([1e-4, None, [True]], "[0.0001,null,[true]]"),
    ],
)
def test_a_value_is_written_as_on_the_command_line(value, text):
    assert written(value) == text


@pytest.mark.parametrize("width", [100, 500])
def test_a_pipe_gets_lines_that_are_wide_enough_for_a_table(width, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    assert console(width).width == width


def test_a_terminal_keeps_its_own_width(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "73")
    assert console().width == 73
