"""The runs of a sweep on a cluster: composed and checked where they are submitted."""

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from imageclf.configs import check, to_plain
from imageclf.runs.checks import check_values
from imageclf.runs.cluster import check_cluster, check_data
from imageclf.runs.options import ClusterOptions, TrainOptions
from imageclf.runs.start import check_top


class Run(NamedTuple):
    """One run of a sweep.

    Args:
        number: in the sweep.
        config: composed, with its hydra node.
        plain: what a training has of it.
        run_dir: where it trains.
    """

    number: int
    config: DictConfig
    plain: dict[str, Any]
    run_dir: Path

    @property
    def overrides(self) -> list[str]:
        """Return what makes it this run."""
        return [str(each) for each in self.config.hydra.overrides.task]


def compose_run(context: HydraContext, config: DictConfig, overrides: list[str], number: int) -> Run:
    """Compose one run of a sweep as Hydra's launchers do."""
    composed = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
        # All lie beside multirun.yaml.
        composed.hydra.sweep.dir = str(Path(str(config.hydra.sweep.dir)).absolute())
    with _current(composed), read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
        run_dir = Path(composed.hydra.sweep.dir, str(composed.hydra.sweep.subdir))
        composed.hydra.runtime.output_dir = str(run_dir)
        plain = to_plain(without_hydra(composed))
    return Run(number, composed, plain, run_dir)


def check_runs(runs: Sequence[Run], config: DictConfig) -> ClusterOptions:
    """Refuse the first run with a mistake, before anything is written, and return what all of them ask for.

    Args:
        runs: of the sweep.
        config: of the sweep.

    Raises:
        InputError: such a run.
    """
    for run in runs:
        check(run.plain, TrainOptions)
        check_top(run.plain)
        check_values(run.plain)
    resources = OmegaConf.to_container(config.cluster, resolve=True)
    options = ClusterOptions(**resources)  # type: ignore[arg-type]
    for run in runs:
        check_cluster(run.plain, run.run_dir, options)
    # The runs of a sweep mostly share their pictures.
    for data in {json.dumps(run.plain["data"], sort_keys=True): run.plain["data"] for run in runs}.values():
        check_data(data, options.nodes * options.tasks_per_node)
    return options


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a composed config as a job gets it."""
    cfg = copy.deepcopy(config)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


@contextmanager
def _current(config: DictConfig) -> Iterator[None]:
    """Let `${hydra:...}` mean this run."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
