"""The comparison of faults, run for real on one of its rows."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
ROW = "A class folder is empty"


@pytest.mark.long
def test_a_row_is_what_the_page_says() -> None:
    command = [sys.executable, str(ROOT / "benchmarks/faults.py"), "--only", ROW]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, row = (line for line in done.stdout.splitlines() if line.startswith(("| data |", f"| {ROW} |")))
    shown = next(line for line in PAGE.splitlines() if line.startswith(f"| {ROW} |") and "test_" not in line)
    # fastai comes last, where it is installed.
    assert shown.startswith(row.rstrip("|"))
    assert ("fastai" in head) == bool(find_spec("fastai"))
