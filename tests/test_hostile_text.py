"""Names that hold what a terminal, rich or a spreadsheet obeys."""

import io
import logging

import pandas as pd
import pytest
from rich.console import Console

from imageclf import InputError
from imageclf.commands.cache import table_of
from imageclf.configs import recorded, run_main
from imageclf.data.pictures.cache import Entry
from imageclf.system.cells import without_formulas
from imageclf.system.printable import cell, log_printable, printable, show
from imageclf.training.extras import config_tree, tree_text

TITLE = "\x1b]0;title\x07cat"
OBEYED = ["\x1b[31m", "\x07", "\r", "\x08", "\x9b31m", "\u202e", "\u2066", "\x7f", "\x00", "\u2028", "\udc9b"]


@pytest.fixture
def records():
    """Put back how messages are made."""
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize("each", OBEYED)
@pytest.mark.fault("Files of strangers", "A name has escapes that a terminal obeys", "They are written out")
def test_what_a_terminal_obeys_is_written_out(each):
    assert printable(f"a{each}b").isprintable()


@pytest.mark.parametrize("text", ["Katze 猫 🐈", "a\tb\nc", "नमस्ते", "👩\u200d🔬", "[red]"])
def test_other_text_stays(text):
    assert printable(text) == text


def test_a_message_of_the_log_is_printable(records):
    log_printable()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("imageclf.test_hostile_text")
    log.addHandler(handler)
    log.warning("skipped %s", TITLE)
    log.removeHandler(handler)
    assert stream.getvalue() == "skipped \\x1b]0;title\\x07cat\n"


@pytest.mark.parametrize("kind", [InputError, RuntimeError])
def test_an_error_is_printable(kind, records, monkeypatch, capsys):
    from imageclf.configs import ending

    monkeypatch.setattr(ending, "_failures", [])

    @recorded
    def job():
        raise kind(f"{TITLE}: no such file")

    with pytest.raises(SystemExit):
        run_main(job)
    said = capsys.readouterr().err
    assert "\\x1b]0;title" in said
    assert "\x1b" not in said


def test_a_path_is_exact_for_scripts_and_printable_for_people(monkeypatch, capsys):
    show(TITLE)
    assert capsys.readouterr().out == f"{TITLE}\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show(TITLE)
    assert capsys.readouterr().out == "\\x1b]0;title\\x07cat\n"


def shown(thing):
    console = Console(file=io.StringIO(), width=300, force_terminal=False)
    console.print(thing)
    return console.file.getvalue()


def test_the_list_of_caches_shows_any_folder(tmp_path):
    about = {"folder": f"/data/[/red]/{TITLE}", "pictures": 3, "[bold]": "[/]"}
    entry = Entry(tmp_path, "pictures", about, 0, 0.0)
    text = shown(table_of([entry], tmp_path / "[/red]"))
    assert "/data/[/red]/\\x1b]0;title" in text
    assert "\x1b" not in text


def test_a_config_is_shown_with_any_names():
    text = tree_text(config_tree({"a[/red]": {"[/b]": {"c": {"d": TITLE}}, TITLE: 1}}))
    assert "[/b]" in text
    assert "\x1b" not in text


def test_a_cell_has_no_markup():
    assert shown(cell("[bold]a[/bold]")) == "[bold]a[/bold]\n"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0", "-"]
)
@pytest.mark.fault("Files of strangers", "A text in a table for people is a formula", "It gets an apostrophe")
def test_a_text_that_a_spreadsheet_runs_gets_an_apostrophe(text):
    assert without_formulas(pd.DataFrame({"name": [text, "a"]}))["name"].tolist() == [f"'{text}", "a"]


def test_so_does_a_heading():
    assert list(without_formulas(pd.DataFrame({"=1": [1], "a": [2]}))) == ["'=1", "a"]


@pytest.mark.parametrize("values", [[-1, 2], [-0.5, 1e-9], ["-0.5", "+1e3"], [None, -1.0], [True, False]])
def test_numbers_stay_numbers(values):
    table = pd.DataFrame({"value": values})
    pd.testing.assert_frame_equal(without_formulas(table), table)
