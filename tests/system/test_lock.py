"""A run directory is held by one process at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.system.locks import locked, patience

HOLD = """
import sys
from pathlib import Path
from imageclf.system.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the directory."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.fault(
    "Several processes and clusters", "Two commands train one run directory at once", "The second is refused"
)
def test_a_directory_that_another_process_holds_is_refused_by_its_name(holder, tmp_path):
    with (
        pytest.raises(InputError, match=f"{tmp_path} is held by process {holder.pid} on"),
        locked(tmp_path, wait=0.2),
    ):
        pass


def test_a_killed_process_holds_nothing(holder, tmp_path):
    holder.kill()
    with locked(tmp_path, wait=30):
        pass


def test_a_directory_that_is_let_go_in_time_is_taken(holder, tmp_path):
    holder.stdin.close()
    with locked(tmp_path, wait=30):
        pass


def test_other_ranks_are_covered_by_the_first_ones_hold(holder, tmp_path):
    with locked(tmp_path, is_first_rank=False):
        pass


def test_a_requeued_job_waits_longer_for_its_former_self():
    assert patience({"SLURM_RESTART_COUNT": "1"}) > patience({"SLURM_RESTART_COUNT": "0"}) == patience({})


def test_the_lock_says_where_this_file_system_is(tmp_path: Path):
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith("process ")
