"""Hydra's launcher for sweeps on one machine: each job gets a process, and GPUs or a share of the cores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.configs.loading import load


@dataclass
class LauncherConfig:
    """The node hydra.launcher.

    Args:
        n_jobs: jobs that run at a time; None: as many as there are GPUs for, or one.
    """

    _target_: str = "hydra_plugins.imageclf_launcher.launcher.ImageclfLauncher"
    n_jobs: int | None = None


ConfigStore.instance().store("imageclf", LauncherConfig, group="hydra/launcher", provider="imageclf")


class ImageclfLauncher(Launcher):
    """Run the jobs of `imageclf-train -m`, a process each; its argument is that of the config."""

    def __init__(self, n_jobs: int | None) -> None:
        super().__init__()
        self._n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the sweep's config, and choose its folder.

        Raises:
            InputError: the folder holds another sweep, or the sweeper would stop at a failed job.
        """
        from imageclf.launch.sweep_folder import choose_folder
        from imageclf.launch.templates import share_files

        batch = config.hydra.sweeper.get("max_batch_size")
        if batch is not None:
            raise InputError(
                f"hydra.sweeper.max_batch_size={batch}: the sweep would end with the first batch in which a "
                "job fails; hydra.launcher.n_jobs says how many run at a time"
            )
        choose_folder(config)
        share_files(hydra_context.config_loader)
        self._loader = hydra_context.config_loader
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs."""
        _load()
        from imageclf.launch.sweep import launch

        return launch(self._loader, self._config, job_overrides, initial_job_idx, self._n_jobs)

    def stream(self, jobs: Iterator[Any]) -> Iterator[Any]:
        """Run jobs of a search as they are asked for, and yield each with its result as it ends."""
        _load()
        from imageclf.launch.sweep import stream

        return stream(self._config, self._n_jobs, jobs)


def _load() -> None:
    """Load what runs jobs; the server that these are forked from loads torch at the same time."""
    from imageclf.system.processes import fork_server

    fork_server()
    load("imageclf.launch.sweep")
