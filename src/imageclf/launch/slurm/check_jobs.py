"""What must be true before a run is submitted to a cluster: a mistake costs hours in its queue."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imageclf import InputError
from imageclf.configs import to_plain
from imageclf.configs.options import ClusterOptions
from imageclf.launch.job import Job
from imageclf.launch.slurm.shared_paths import check_shared
from imageclf.launch.sweep import check_composed, current, without_hydra
from imageclf.model import load_weights
from imageclf.model.weights.hub import cached_file
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import data_options


def check_jobs(jobs: Sequence[Job], config: DictConfig) -> ClusterOptions:
    """Refuse the first job with a mistake, before anything is written, and return what all of them ask for.

    Args:
        jobs: of the sweep, composed.
        config: of the sweep.

    Raises:
        InputError: such a job.
    """
    for job in jobs:
        check_composed(job)
    resources = OmegaConf.to_container(config.cluster, resolve=True)
    options = ClusterOptions(**resources)  # type: ignore[arg-type]
    plain = [_plain(job) for job in jobs]
    for each, job in zip(plain, jobs, strict=True):
        check_cluster(each, job.run_dir, options)
    # The runs of a sweep mostly share their pictures.
    for data in {json.dumps(each["data"], sort_keys=True): each["data"] for each in plain}.values():
        check_data(data, options.nodes * options.tasks_per_node)
    return options


def check_cluster(config: dict[str, Any], run_dir: Path, options: ClusterOptions) -> None:
    """Refuse a run that cannot train on the cluster's nodes.

    Args:
        config: of the run.
        run_dir: of the run.
        options: of the sweep that it is part of.

    Raises:
        InputError: the first reason.
    """
    if config["cluster"] != vars(options):
        swept = [name for name, value in vars(options).items() if config["cluster"].get(name) != value]
        raise InputError(
            f"cluster.{swept[0]} is swept, and the jobs of an array have the same resources: "
            "start a sweep for each of its values"
        )
    check_tasks(config["trainer"], options)
    weights = check_weights_are_here(config["model"])
    data = {"data.root": config["data"].get("root"), "model.weights": weights}
    paths = {key: Path(path) for key, path in data.items() if path is not None}
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    check_shared({"hydra.sweep.dir": run_dir, **paths}, options.shared_paths, mounts)


def _plain(job: Job) -> dict[str, Any]:
    with current(job.config):
        return to_plain(without_hydra(job.config))


def check_tasks(trainer: dict[str, Any], options: ClusterOptions) -> None:
    """Refuse a number of ranks that is not that of the tasks which SLURM starts.

    Raises:
        InputError: they differ; Lightning would wait for ranks that never come.
    """
    nodes, devices = int(trainer.get("num_nodes", 1)), num_devices(trainer, options.gpus_per_node)
    if nodes == options.nodes and devices == options.tasks_per_node:
        return
    tasks = options.nodes * options.tasks_per_node
    # One rank needs no ddp, and several do.
    ddp = "trainer=ddp " if tasks > 1 and trainer.get("strategy") != "ddp" else ""
    raise InputError(
        f"cluster.nodes={options.nodes} x cluster.tasks_per_node={options.tasks_per_node} are {tasks} tasks, "
        f"and trainer.num_nodes={nodes} x trainer.devices={devices} are {nodes * devices} ranks: give "
        f"{ddp}trainer.num_nodes={options.nodes} trainer.devices={options.tasks_per_node}, "
        "or change the cluster's"
    )


def num_devices(trainer: dict[str, Any], gpus_per_node: int | None) -> int:
    """Return how many ranks a trainer node asks for on each node of the cluster.

    Args:
        trainer: the trainer node.
        gpus_per_node: that a job has; this machine, a login node, may have others.
    """
    devices = trainer.get("devices", 1)
    if isinstance(devices, list):
        return len(devices)
    if devices in ("auto", -1, "-1"):
        return 1 if trainer.get("accelerator") == "cpu" else gpus_per_node or 1
    return int(devices)


def check_weights_are_here(model: dict[str, Any]) -> Path | None:
    """Refuse weights that a run would fetch: compute nodes often have no internet.

    Args:
        model: the model node.

    Returns:
        The file, where it is one that compute nodes must see.

    Raises:
        InputError: they are not here.
    """
    weights, backbone = model["weights"], model["backbone"]
    if weights == "none":
        return None
    if weights != "hub":
        load_weights(weights, backbone)
        return None if weights == "packaged" else Path(weights)
    found = cached_file(backbone)
    if found is None:
        raise InputError(
            f"model.weights=hub: the weights of {backbone} are not in the cache, and compute nodes often "
            f"have no internet; run imageclf-prefetch model.backbone={backbone} first"
        )
    return found


def check_data(data: dict[str, Any], ranks: int) -> None:
    """Refuse data without a table, before hours in a queue; pictures are decoded by the job.

    Args:
        data: the data node.
        ranks: of a run.

    Raises:
        InputError: the folder or CSV is not as the node says, or holds out fewer pictures than ranks.
    """
    held_out = len(read_table(data_options(data), verify=False).rows("valid"))
    if 0 < held_out < ranks:
        raise InputError(
            f"{held_out} validation pictures for {ranks} ranks: hold out more, or take fewer ranks"
        )
