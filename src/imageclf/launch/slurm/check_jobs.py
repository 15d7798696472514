"""Checks of a run before it is submitted to a cluster, where a mistake costs hours in the queue."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imageclf import InputError
from imageclf.configs.options import ClusterOptions
from imageclf.launch.jobs import Job
from imageclf.launch.slurm.shared_paths import check_shared
from imageclf.model.weights.pretrained import cached_file, load_weights
from imageclf.system.progress import track
from imageclf.training.parts.accelerator import num_ranks
from imageclf.training.parts.module import weights_file
from imageclf.training.parts.table import check_held_out
from imageclf.training.run_config import build_task, data_options


def check_jobs(jobs: Sequence[Job], config: DictConfig) -> ClusterOptions:
    """Check that jobs can train on the cluster, before anything is written, and return its options."""
    resources = OmegaConf.to_container(config.cluster, resolve=True)
    options = ClusterOptions(**resources)  # type: ignore[arg-type]
    # Most sweeps train all runs on the same data from the same weights: check them once.
    sets: dict[str, dict[str, Any]] = {}
    weights: dict[str, Path | None] = {}
    with track("checking what the nodes need", len(jobs), "runs") as advance:
        for job in jobs:
            plain = job.plain
            pictures = {key: plain.get(key) for key in ("data", "task")}
            sets[json.dumps(pictures, sort_keys=True)] = pictures
            start = json.dumps([plain["model"]["weights"], plain["model"]["backbone"]])
            if start not in weights:
                weights[start] = check_weights_are_here(plain["model"])
            check_cluster(plain, job.run_dir, weights[start], options)
            advance(1)
    for each in sets.values():
        check_data(each["data"], options.nodes * options.tasks_per_node, each["task"])
    return options


def check_cluster(
    config: dict[str, Any], run_dir: Path, weights: Path | None, options: ClusterOptions
) -> None:
    """Check that a run can train on the cluster's nodes.

    `weights` is the file that it starts from, if there is one.
    """
    if config["cluster"] != vars(options):
        swept = [name for name, value in vars(options).items() if config["cluster"].get(name) != value]
        raise InputError(
            f"cluster.{swept[0]} is swept, and the jobs of an array have the same resources: "
            "start a sweep for each of its values"
        )
    check_tasks(config["trainer"], options)
    data = {"data.root": config["data"].get("root"), "model.weights": weights}
    paths = {key: Path(path) for key, path in data.items() if path is not None}
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8")
    check_shared({"hydra.sweep.dir": run_dir, **paths}, options.shared_paths, mounts)


def check_tasks(trainer: dict[str, Any], options: ClusterOptions) -> None:
    """Check that there are as many ranks as SLURM starts tasks."""
    # The login node, where this runs, may have other GPUs than the compute nodes.
    nodes, devices = int(trainer.get("num_nodes", 1)), num_ranks(trainer, options.gpus_per_node or 1)
    if nodes == options.nodes and devices == options.tasks_per_node:
        return
    tasks = options.nodes * options.tasks_per_node
    ddp = "trainer=ddp " if tasks > 1 and trainer.get("strategy") != "ddp" else ""
    raise InputError(
        f"cluster.nodes={options.nodes} x cluster.tasks_per_node={options.tasks_per_node} are {tasks} tasks, "
        f"and trainer.num_nodes={nodes} x trainer.devices={devices} are {nodes * devices} ranks: give "
        f"{ddp}trainer.num_nodes={options.nodes} trainer.devices={options.tasks_per_node}, "
        "or change the cluster's"
    )


def check_weights_are_here(model: dict[str, Any]) -> Path | None:
    """Check that a run need not download its weights: compute nodes often have no internet.

    Returns:
        The file that compute nodes must see, if there is one.
    """
    weights, backbone = model["weights"], model["backbone"]
    if weights == "none":
        return None
    if weights == "packaged":
        load_weights(weights, backbone)
        return None
    if weights != "hub":
        file = weights_file(weights)
        load_weights(file, backbone)
        return Path(file)
    found = cached_file(backbone)
    if found is None:
        raise InputError(
            f"model.weights=hub: the weights of {backbone} are not in the cache, and compute nodes often "
            f"have no internet; run imageclf-prefetch model.backbone={backbone} first"
        )
    return found


def check_data(data: dict[str, Any], ranks: int, task: dict[str, Any] | None = None) -> None:
    """Check that the data has a table; the pictures are decoded by the job."""
    options = data_options(data, build_task(task))
    # Without a word on what was read: stdout may be a script that is piped to sbatch.
    check_held_out(options.splitting.apply(options.read()), ranks)
