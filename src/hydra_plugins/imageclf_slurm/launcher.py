"""Hydra's launcher for cluster=slurm: its submitit launcher, but the runs are checked and made beforehand."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from imageclf import InputError

# Hydra loads this file at every start, even if the extra is not installed.
if find_spec("submitit") is not None and find_spec("hydra_plugins.hydra_submitit_launcher") is not None:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

    class ClusterLauncher(SlurmLauncher):  # type: ignore[misc]
        """Submit the runs of `imageclf-train cluster=slurm` as an array of jobs.

        Hydra's launcher composes the config inside the job: each task would make a run directory, SLURM
        would take a failure for a success, and without SLURM's accounting the sweep would wait for a killed
        job forever (https://github.com/facebookincubator/submitit/issues/1720). Here a job only trains a run
        directory that exists already.
        """

        def setup(
            self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
        ) -> None:
            """Keep the sweep's config, and choose its folder before Hydra writes there."""
            from imageclf.launch.slurm.submit import typed_run_dir
            from imageclf.launch.sweep_folder import choose_folder, choose_run
            from imageclf.launch.templates import share_files

            share_files(hydra_context.config_loader)
            super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
            run_dir = typed_run_dir(config)
            if run_dir is None:
                choose_folder(config)
            else:
                choose_run(config, run_dir)
            # It lies in the folder of the sweep, which is known from now on.
            self.params["submitit_folder"] = str(config.hydra.launcher.submitit_folder)

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            """Check, prepare and submit a batch of runs, and wait for them unless `cluster.wait=false`."""
            from imageclf.launch.slurm.submit import submit

            return submit(self.hydra_context, self.config, job_overrides, initial_job_idx, self.params)

        def stream(self, jobs: Iterator[Any]) -> Iterator[Any]:
            """Submit the runs of a search as they are asked for, and yield each with its result."""
            from imageclf.launch.slurm.stream import stream

            return stream(self.config, self.params, jobs)

else:

    class ClusterLauncher(Launcher):  # type: ignore[no-redef]
        """Report that the extra is missing."""

        def __init__(self, **_: Any) -> None:
            super().__init__()

        def setup(self, **_: Any) -> None:
            """Refuse."""
            raise InputError("cluster=slurm needs Hydra's submitit launcher: pip install 'imageclf[slurm]'")

        def launch(self, job_overrides: Any, initial_job_idx: int) -> Sequence[JobReturn]:
            """Unreachable: setup has raised."""
            raise NotImplementedError

    # The group's file inherits this name.
    ConfigStore.instance().store("submitit_slurm", {}, group="hydra/launcher", provider="imageclf")
