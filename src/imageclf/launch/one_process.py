"""Commands that need a few batches, not a whole run, work in one process whatever the number of ranks."""

import logging
from dataclasses import replace

from imageclf import InputError
from imageclf.system.world import World
from imageclf.training.parts.accelerator import total_ranks
from imageclf.training.parts.shared_batches import per_process, with_batches
from imageclf.training.run_config import Config, RunConfig

log = logging.getLogger(__name__)


def check_here(config: RunConfig, command: str) -> None:
    """Refuse cluster=slurm for a command that does its work where it is started: on the login node."""
    if config.cluster is not None:
        raise InputError(
            f"cluster=slurm is for imageclf-train; {command} works where it is started, and that is the "
            "login node: leave out cluster=slurm, and start it in a job, such as "
            f"srun --cpus-per-task=4 {command} ..."
        )


def in_one_process(config: Config, whole_batches: bool) -> Config:
    """Return a config for one process: else Lightning would start the whole command again for each rank.

    With `whole_batches` it takes the batches of all ranks together, else those of one rank.

    Raises:
        InputError: srun or torchrun started this process as one of several.
    """
    tasks = World.of_process().size
    if tasks > 1:
        raise InputError(
            f"srun or torchrun started {tasks} tasks, but this command works in one process: "
            "start it by itself"
        )
    ranks = total_ranks(config.trainer)
    trainer = {key: value for key, value in config.trainer.items() if key != "num_nodes"}
    devices = trainer.get("devices", 1)
    one = {"strategy": "auto", "devices": devices[:1] if isinstance(devices, list) else 1}
    config = replace(config, trainer=trainer | one)
    if config.data.loading.global_batch_size is not None:
        return per_process(config, 1)
    if ranks == 1:
        return config
    if not whole_batches:
        log.info("one process works for %d ranks; data.batch_size is per process", ranks)
        return config
    log.info(
        "one process works for %d ranks, on their batches together: %d times data.batch_size", ranks, ranks
    )
    size = config.data.loading.pictures_a_step * ranks
    return with_batches(config, size, lambda pictures, key: pictures * ranks)
