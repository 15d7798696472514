"""The tests pass wherever they are started."""

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
OF_SIGNALS = ["system/test_signals.py", "system/test_files.py", "launch/test_requeue.py"]


@pytest.mark.long
def test_those_of_signals_pass_where_ctrl_c_is_ignored() -> None:
    # As a script's shell starts what has an & behind it.
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command = [*ignoring, *pytest, *(str(TESTS / name) for name in OF_SIGNALS)]
    done = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
