"""What the environment variables of SLURM and torchrun say about this process."""

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

Environment = Mapping[str, str]


def job_id(environment: Environment) -> str | None:
    """Return the job's id, with the number of an array's task; None outside of SLURM.

    >>> job_id({"SLURM_JOB_ID": "43", "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "1"})
    '42_1'
    """
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def batch_job_id(environment: Environment) -> str | None:
    """Return the job's id; None in an interactive shell, whose job has many runs."""
    shell = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return None if shell else job_id(environment)


def num_tasks(environment: Environment) -> int:
    """Return how many tasks srun started; 1 in a batch script without srun."""
    # Not SLURM_NTASKS: sbatch sets it too, and starts its script once.
    return int(environment.get("SLURM_STEP_NUM_TASKS", 1))


def torchrun_ranks(environment: Environment) -> tuple[int, int] | None:
    """Return how many ranks torchrun started on this node and over all nodes; None without torchrun.

    >>> torchrun_ranks({"TORCHELASTIC_RUN_ID": "none", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4"})
    (2, 4)
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    return int(environment["LOCAL_WORLD_SIZE"]), int(environment["WORLD_SIZE"])


def restarted(environment: Environment) -> bool:
    """Return whether SLURM has requeued the job, or torchrun has restarted its tasks."""
    return any(int(environment.get(f"{each}_RESTART_COUNT", 0)) > 0 for each in ("SLURM", "TORCHELASTIC"))


def is_first_task(environment: Environment) -> bool:
    """Return whether this process reads, writes and speaks for all tasks, and for the ranks that we start.

    >>> is_first_task({}), is_first_task({"SLURM_PROCID": "1"})
    (True, False)
    """
    return environment.get("RANK", environment.get("SLURM_PROCID", "0")) == "0"


# The first task decodes every picture of a new data set: the others wait this long for it at most.
WAIT = timedelta(hours=2)


class World(NamedTuple):
    """Which of how many tasks this process is.

    Args:
        rank: task 0 composes, checks and writes.
        size: 1 if this command starts its ranks itself.
    """

    rank: int
    size: int

    @classmethod
    def of(cls, environment: Environment) -> "World":
        """Read the variables of srun or torchrun.

        >>> World.of({"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2"})
        World(rank=1, size=2)
        >>> World.of({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"})  # a batch script without srun
        World(rank=0, size=1)
        """
        if "TORCHELASTIC_RUN_ID" in environment:
            return cls(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
        size = num_tasks(environment)
        return cls(int(environment["SLURM_PROCID"]) if size > 1 else 0, size)

    @classmethod
    def of_process(cls) -> "World":
        """Read the variables of this process."""
        return cls.of(os.environ)
