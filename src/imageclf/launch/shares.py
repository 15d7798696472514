"""Split the GPUs and cores of one machine between the jobs that run at the same time."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import torch

from imageclf import InputError
from imageclf.system.machine import SHARE


class Share(NamedTuple):
    """What one job may use of the machine.

    Args:
        gpus: ids as in CUDA_VISIBLE_DEVICES; empty: all GPUs of the machine.
        threads: of torch; None: torch's default.
        cores: that `data.num_workers=auto` counts; None: all.
    """

    gpus: tuple[str, ...]
    threads: int | None
    cores: int | None

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables to set before CUDA starts."""
        gpus = {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)} if self.gpus else {}
        numbers = {"OMP_NUM_THREADS": self.threads, SHARE: self.cores}
        return gpus | {name: str(number) for name, number in numbers.items() if number}


def split_machine(
    n_jobs: int | None, gpus: Sequence[str], gpus_per_job: int, threads: int, cores: int
) -> list[Share]:
    """Return a share for each of the jobs that run at the same time.

    Without `n_jobs` there are as many as there are GPUs for, or one. `gpus_per_job` is what the job with
    the most ranks asks for; GPUs, threads of torch and cores are what this process may use.

    Raises:
        InputError: n_jobs is not positive, or there are too few GPUs for so many jobs of several ranks.
    """
    if n_jobs is not None and n_jobs < 1:
        raise InputError(f"hydra.launcher.n_jobs={n_jobs}: give a whole number from 1, or null")
    count = n_jobs or max(1, len(gpus) // gpus_per_job)
    if gpus and gpus_per_job > 1 and count * gpus_per_job > max(len(gpus), gpus_per_job):
        raise InputError(
            f"hydra.launcher.n_jobs={count}: so many jobs of {gpus_per_job} ranks take "
            f"{count * gpus_per_job} GPUs and there are {len(gpus)}; give {max(1, len(gpus) // gpus_per_job)}"
        )
    # One job at a time gets the threads of a run outside a sweep: so its sums are the same.
    limits = [max(1, number // count) if count > 1 else None for number in (threads, cores)]
    return [Share(_gpus_of_job(gpus, count, number), *limits) for number in range(count)]


def _gpus_of_job(gpus: Sequence[str], num_jobs: int, number: int) -> tuple[str, ...]:
    """Return the GPUs of one job; several jobs share one if there are fewer GPUs than jobs."""
    if num_jobs >= len(gpus):
        return (gpus[number % len(gpus)],) if gpus else ()
    size = len(gpus) // num_jobs
    return tuple(gpus[number * size : (number + 1) * size])


def visible_gpus() -> list[str]:
    """Return the ids of the GPUs that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return given.split(",")[:count] if given else [str(number) for number in range(count)]
