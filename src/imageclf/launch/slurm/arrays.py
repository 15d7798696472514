"""Submit runs as arrays no larger than the cluster takes, by submitit, which also requeues their jobs."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from submitit import AutoExecutor
from submitit.core.utils import FailedJobError

from imageclf import InputError
from imageclf.configs.options import ClusterOptions
from imageclf.launch.jobs import Job
from imageclf.launch.slurm.array_task import ArrayTask
from imageclf.launch.slurm.queue import most_in_array
from imageclf.launch.slurm.sbatch import SRUN, recording, setup
from imageclf.launch.sweep_folder import remove_refused


def submitted(
    runs: Sequence[Job], resources: Mapping[str, Any], options: ClusterOptions, sweep_dir: Path
) -> Iterator[tuple[str, Job]]:
    """Submit runs as an array, as several where the cluster takes none so large; yield job ids and runs.

    Raises:
        InputError: sbatch refuses; what is not submitted by then leaves nothing behind.
    """
    arrays = arrays_of(runs, most_in_array())
    # SLURM's limit is one for each array, and the user's one for the sweep.
    at_once = {"array_parallelism": max(1, int(resources["array_parallelism"]) // len(arrays))}
    executor = _executor({**resources, **at_once}, options)
    num_submitted = 0
    for array in arrays:
        executor.update_parameters(slurm_setup=[*recording([run.run_dir for run in array]), *setup(options)])
        try:
            jobs = executor.map_array(
                ArrayTask(),  # type: ignore[no-untyped-call]
                [str(run.run_dir) for run in array],
            )
        except FailedJobError as error:
            # Leave nothing behind that has not started, so that the same command can be given again.
            for run in runs[num_submitted:]:
                if not (run.run_dir / "split.csv").exists():
                    shutil.rmtree(run.run_dir)
            remove_refused(sweep_dir)
            gone = f" {num_submitted} are submitted;" if num_submitted else ""
            raise InputError(f"sbatch refuses the jobs:{gone} {' '.join(str(error).split())}") from error
        num_submitted += len(array)
        yield from zip([job.job_id for job in jobs], array, strict=True)


def arrays_of(runs: Sequence[Job], most: int) -> list[Sequence[Job]]:
    """Split runs into arrays that the cluster takes, in their order.

    >>> arrays_of("abcde", 2)
    ['ab', 'cd', 'e']
    """
    return [runs[start : start + most] for start in range(0, len(runs), most)]


def _executor(resources: Mapping[str, Any], options: ClusterOptions) -> Any:
    """Return submitit's executor for the node hydra.launcher, made as Hydra's submitit launcher does."""
    known = dict(resources)
    folder, timeouts = known.pop("submitit_folder"), known.pop("max_num_timeout")
    executor = AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=timeouts)
    # The default of a cluster may be not to requeue.
    further = {"requeue": True, **(known.pop("additional_parameters") or {})}
    known |= {"srun_args": list(SRUN), "additional_parameters": further}
    general = {field.name for field in fields(BaseQueueConf)}
    executor.update_parameters(
        **{name if name in general else f"slurm_{name}": value for name, value in known.items()}
    )
    return executor
