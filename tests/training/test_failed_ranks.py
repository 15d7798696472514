"""failed.json of a run on several ranks: it holds the cause, whichever rank has it, and not what followed."""

from pathlib import Path
from typing import Any

import pytest
from torch.distributed import DistBackendError

from imageclf import InputError, Preempted
from imageclf.configs import read_object
from imageclf.system.errors import RunError
from imageclf.training.failure import record_failure

# As gloo says it.
LOST = RuntimeError("[gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:11659: Connection reset by peer")
# As NCCL says it, and what is no other rank's end.
NCCL = (
    "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely."
)
MISUSED = "ncclInvalidUsage: This usually reflects invalid usage of NCCL library. Duplicate GPU detected"
OWN = RuntimeError("on purpose")


def end(run_dir: Path, error: BaseException, is_first: bool) -> None:
    """End a rank with an error."""
    with pytest.raises(type(error)), record_failure(run_dir, is_first=is_first):
        raise error


def recorded(run_dir: Path) -> Any:
    """Return the status, and the first line of the cause."""
    failure = read_object(run_dir / "failed.json")
    return failure.get("status"), str(failure.get("cause")).partition("\n")[0]


@pytest.mark.parametrize(
    ("said", "status", "cause"),
    [
        (NCCL, "killed", "another rank was killed or failed"),
        (MISUSED, "failed", f"DistBackendError: {MISUSED}"),
    ],
)
def test_only_a_lost_connection_is_taken_for_the_end_of_another_rank(
    tmp_path: Path, said: str, status: str, cause: str
) -> None:
    end(tmp_path, DistBackendError(said), is_first=True)
    found, line = recorded(tmp_path)
    assert found == status
    assert line.startswith(cause)


def test_of_an_error_without_a_message_the_type_is_the_cause(tmp_path: Path) -> None:
    end(tmp_path, AssertionError(), is_first=True)
    assert recorded(tmp_path) == ("failed", "AssertionError")


def test_where_the_first_rank_is_killed_another_one_says_so(tmp_path: Path) -> None:
    end(tmp_path, LOST, is_first=False)
    status, cause = recorded(tmp_path)
    assert status == "killed"
    assert cause.startswith("another rank was killed or failed; was it out of memory?")


@pytest.mark.parametrize(
    ("consequence", "raised"), [(LOST, RuntimeError), (Preempted("ended by SIGTERM"), RunError)]
)
def test_the_first_rank_keeps_the_cause_that_another_one_has_recorded(
    tmp_path: Path, consequence: BaseException, raised: type[BaseException]
) -> None:
    with pytest.raises(raised), record_failure(tmp_path):
        end(tmp_path, OWN, is_first=False)
        raise consequence
    assert recorded(tmp_path) == ("failed", "RuntimeError: on purpose")


@pytest.mark.fault(
    "Several processes and clusters",
    "A task finds a mistake, and the launcher ends the others with SIGTERM",
    "The job is not requeued, to fail again: it ends with the mistake",
)
def test_a_launchers_signal_after_another_rank_has_failed_is_no_preemption(tmp_path: Path) -> None:
    with pytest.raises(RunError) as ended, record_failure(tmp_path):
        end(tmp_path, InputError("no such folder"), is_first=False)
        raise Preempted("ended by SIGTERM")
    assert str(ended.value) == "another rank has failed: no such folder"
    assert ended.value.exit_code == 1


def test_of_another_ranks_failure_its_first_line_is_said_without_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(RunError) as ended, record_failure(tmp_path):
        end(tmp_path, OWN, is_first=False)
        raise Preempted("ended by SIGTERM")
    assert str(ended.value) == "another rank has failed: RuntimeError: on purpose"


def test_a_signal_to_all_ranks_is_a_preemption_also_where_one_of_them_lost_another(tmp_path: Path) -> None:
    with pytest.raises(Preempted), record_failure(tmp_path):
        end(tmp_path, LOST, is_first=False)
        raise Preempted("ended by SIGUSR2")


@pytest.mark.parametrize("first", [True, False])
def test_a_cause_replaces_what_followed_from_it(tmp_path: Path, first: bool) -> None:
    end(tmp_path, LOST, is_first=first)
    end(tmp_path, OWN, is_first=not first)
    assert recorded(tmp_path) == ("failed", "RuntimeError: on purpose")


def test_of_a_preempted_run_only_the_first_rank_writes(tmp_path: Path) -> None:
    end(tmp_path, Preempted("ended by another rank's signal"), is_first=False)
    assert not (tmp_path / "failed.json").exists()
    end(tmp_path, Preempted("ended by SIGTERM"), is_first=True)
    assert recorded(tmp_path) == ("preempted", "ended by SIGTERM")
