"""Who puts a preempted job back into its queue."""

import os
import signal

import pytest

from imageclf import Preempted
from imageclf.launch.pool import open_pool
from imageclf.launch.slurm.requeue import (
    is_left_to_slurm,
    launcher_handler,
    requeue_when_preempted,
    way_to_requeue,
)
from imageclf.system.errors import Failure
from imageclf.system.signals import STOPPING
from imageclf.system.world import batch_job_id, job_id, num_tasks, restarted

JOB = {"SLURM_JOB_ID": "42"}
TASK = {**JOB, "SLURM_STEP_NUM_TASKS": "2"}


def handler(number, frame):
    """Stand where a launcher's handler stands."""


@pytest.mark.parametrize(
    ("environment", "previous", "way"),
    [
        ({}, signal.SIG_DFL, "none"),
        ({}, None, "none"),
        (JOB, signal.SIG_DFL, "scontrol"),
        (JOB, signal.SIG_IGN, "scontrol"),
        (JOB, handler, "launcher"),
        ({}, handler, "launcher"),
        ({**TASK, "SLURM_PROCID": "0"}, None, "scontrol"),
        ({**TASK, "SLURM_PROCID": "1"}, None, "first rank"),
        ({**TASK, "SLURM_PROCID": "1"}, handler, "launcher"),
        ({**JOB, "TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}, None, "scontrol"),
        ({**JOB, "TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}, None, "first rank"),
        ({"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}, None, "none"),
    ],
)
def test_the_way_follows_from_environment_and_handler(environment, previous, way):
    assert way_to_requeue(environment, previous) == way


@pytest.mark.fault(
    "Several processes and clusters", "One task of an array is preempted", "It alone is requeued"
)
def test_an_array_requeues_its_task_alone():
    task = {"SLURM_JOB_ID": "45", "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "3"}
    assert job_id(task) == "42_3"


@pytest.mark.parametrize(
    ("state", "is_left"),
    [("RUNNING", False), ("", False), ("COMPLETING", True), ("CANCELLED", True), ("PENDING", True)],
)
def test_only_a_job_that_is_running_is_requeued(state, is_left):
    assert is_left_to_slurm(state) is is_left


def test_outside_of_slurm_there_is_no_job():
    assert (job_id({}), num_tasks({}), restarted({})) == (None, 1, False)


def test_a_shell_on_a_node_is_no_batch_job():
    assert batch_job_id({**JOB, "SLURM_JOB_NAME": "interactive"}) is None


@pytest.mark.parametrize(("count", "expected"), [("0", False), ("1", True)])
def test_a_job_that_runs_again_is_restarted(count, expected):
    assert restarted({"SLURM_RESTART_COUNT": count}) is expected


@pytest.fixture
def launcher():
    """A launcher's handler, that leaves the process as submitit's does; return the signals it got."""
    got = []

    def leave(number, frame):
        got.append(number)
        raise SystemExit(-1)

    before = {number: signal.getsignal(number) for number in STOPPING}
    signal.signal(signal.SIGUSR2, leave)
    yield got
    for number, old in before.items():
        signal.signal(number, old)


def test_the_launchers_handler_is_found(launcher):
    assert callable(launcher_handler())


def test_the_launchers_handler_is_called_once_and_later_signals_are_ignored(launcher):
    with pytest.raises(SystemExit), requeue_when_preempted():
        raise Preempted("ended by SIGTERM")
    os.kill(os.getpid(), signal.SIGUSR2)
    assert launcher == [signal.SIGUSR2]


def test_a_job_whose_time_limits_are_used_up_ends_as_preempted(launcher, caplog):
    def refuse(number, frame):
        raise RuntimeError("Job not requeued because: timed-out too many times")

    signal.signal(signal.SIGUSR2, refuse)
    with pytest.raises(Preempted, match="go on with: imageclf-train"), requeue_when_preempted():
        raise Preempted("ended by SIGUSR2; go on with: imageclf-train hydra.run.dir=run ckpt_path=auto")
    assert "the job is not requeued: Job not requeued because: timed-out too many times" in caplog.text


def test_nothing_is_requeued_where_nothing_was_preempted(launcher):
    with requeue_when_preempted():
        pass
    assert launcher == []


def preempted_job():
    """Stand where a job of a sweep stands, whose way to requeue would be submitit's."""
    signal.signal(signal.SIGUSR2, handler_that_fails)
    with requeue_when_preempted():
        raise Preempted("ended by SIGUSR1")


def handler_that_fails(number, frame):
    raise SystemExit("this job has requeued itself")


def test_a_sweeps_job_leaves_the_requeue_to_its_parent():
    with open_pool() as pool:
        pool.start(0, preempted_job)
        assert pool.wait() == {0: Failure("preempted", 75, "ended by SIGUSR1")}
