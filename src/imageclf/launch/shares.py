"""Deal the GPUs and cores of one machine to the jobs that run at a time."""

import os
from collections.abc import Sequence
from typing import NamedTuple

from imageclf import InputError
from imageclf.system.machine import SHARE


class Share(NamedTuple):
    """What one job may use.

    Args:
        gpus: their ids as CUDA_VISIBLE_DEVICES takes them; none: the job sees what the machine has.
        threads: of the CPU; None: as many as torch takes by itself.
        cores: of the CPU, by which its data workers are counted; None: all that there are.
    """

    gpus: tuple[str, ...]
    threads: int | None
    cores: int | None

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that say so, to be set before CUDA is touched."""
        gpus = {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)} if self.gpus else {}
        numbers = {"OMP_NUM_THREADS": self.threads, SHARE: self.cores}
        return gpus | {name: str(number) for name, number in numbers.items() if number}


def deal(n_jobs: int | None, gpus: Sequence[str], gpus_per_job: int, threads: int, cores: int) -> list[Share]:
    """Return the shares of jobs that run at a time.

    Args:
        n_jobs: how many; None: as many as there are GPUs for, or one.
        gpus: ids of those that this process may use.
        gpus_per_job: how many the job with the most ranks asks for.
        threads: that torch takes, to be dealt out.
        cores: of the CPU, to be dealt out.

    Raises:
        InputError: n_jobs is not positive, or jobs of several ranks do not fit side by side.
    """
    if n_jobs is not None and n_jobs < 1:
        raise InputError(f"hydra.launcher.n_jobs={n_jobs}: give a whole number from 1, or null")
    count = n_jobs or max(1, len(gpus) // gpus_per_job)
    if gpus and gpus_per_job > 1 and count * gpus_per_job > max(len(gpus), gpus_per_job):
        raise InputError(
            f"hydra.launcher.n_jobs={count}: so many jobs of {gpus_per_job} ranks take "
            f"{count * gpus_per_job} GPUs and there are {len(gpus)}; give {max(1, len(gpus) // gpus_per_job)}"
        )
    # A job by itself gets the threads that a run outside a sweep has, for the same sums.
    each = [max(1, number // count) if count > 1 else None for number in (threads, cores)]
    return [Share(_hand(gpus, count, number), *each) for number in range(count)]


def _hand(gpus: Sequence[str], count: int, number: int) -> tuple[str, ...]:
    """Return one hand of GPUs; small jobs may share one."""
    if count >= len(gpus):
        return (gpus[number % len(gpus)],) if gpus else ()
    size = len(gpus) // count
    return tuple(gpus[number * size : (number + 1) * size])


def visible_gpus() -> list[str]:
    """Return the ids of the GPUs that this process may use."""
    import torch

    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return given.split(",")[:count] if given else [str(number) for number in range(count)]
