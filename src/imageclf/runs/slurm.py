"""What SLURM's environment variables say about this process."""

from collections.abc import Mapping

Environment = Mapping[str, str]


def job_id(environment: Environment) -> str | None:
    """Return the job's id, of an array's task with its number; None outside of SLURM.

    >>> job_id({"SLURM_JOB_ID": "43", "SLURM_ARRAY_JOB_ID": "42", "SLURM_ARRAY_TASK_ID": "1"})
    '42_1'
    """
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID")


def batch_job_id(environment: Environment) -> str | None:
    """Return the job's id if it is not a shell on a node, where one job has many runs."""
    shell = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return None if shell else job_id(environment)


def num_tasks(environment: Environment) -> int:
    """Return how many tasks srun started this one with; 1 in a batch script without srun."""
    # SLURM_NTASKS is set by sbatch too, which starts the script once.
    return int(environment.get("SLURM_STEP_NUM_TASKS", 1))


def restarted(environment: Environment) -> bool:
    """Return whether the job was requeued and runs again."""
    return int(environment.get("SLURM_RESTART_COUNT", 0)) > 0
