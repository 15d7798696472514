"""A command whose output nobody reads to its end goes on, in silence."""

import os
import subprocess
import sys

import pytest

# The second write finds the pipe closed; what is behind it must run.
SCRIPT = """
import sys, logging
from imageclf.configs.streams import tolerate_closed_streams
tolerate_closed_streams()
logging.basicConfig(stream=sys.stdout)
print("first", flush=True)
sys.stdin.read()
print("second", flush=True)
logging.warning("third")
print("done", file=sys.stderr)
"""


def run(script: str, *, close: bool) -> tuple[int, str]:
    """Run a script, close its standard output after the first line, and return exit code and stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "first\n"
    if close:
        process.stdout.close()
    process.stdin.close()
    seen = process.stderr.read()
    process.stderr.close()
    if not close:
        process.stdout.close()
    return process.wait(), seen


@pytest.mark.parametrize("close", [True, False])
def test_what_comes_after_a_closed_pipe_runs_and_nothing_is_complained_about(close: bool) -> None:
    assert run(SCRIPT, close=close) == (0, "done\n")


def test_without_it_a_closed_pipe_ends_the_command() -> None:
    code, seen = run(SCRIPT.replace("tolerate_closed_streams()\n", "", 1), close=True)
    assert code == 1 and "BrokenPipeError" in seen


def test_a_closed_stdout_is_the_null_device() -> None:
    script = SCRIPT.partition("logging.basic")[0] + "print('x', flush=True); sys.exit(sys.stdout.isatty())"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.fault(
    "Terminals, paths and networks",
    "Standard output takes ASCII only",
    "Paths and messages come out all the same",
)
def test_where_only_ascii_can_be_written_a_path_comes_out_exactly_and_a_message_too() -> None:
    script = r"""
import logging, sys
from imageclf.configs.streams import tolerate_closed_streams
from imageclf.system.printable import show
tolerate_closed_streams()
logging.basicConfig(stream=sys.stdout, format="%(message)s")
logging.raiseExceptions = False
logging.warning("classes: \u00e4, \u982d")
show("runs/\u00e4\udcff")
"""
    environment = os.environ | {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, check=True)
    assert done.stdout == "classes: ä, 頭\nruns/ä".encode() + b"\xff\n"
