"""`data.global_batch_size`: one batch for all ranks together, so that their number may change."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from imageclf import InputError
from imageclf.schedule import Schedule
from imageclf.system.world import Environment, torchrun_ranks
from imageclf.training.parts.accelerator import total_ranks
from imageclf.training.parts.scaled_lrs import scale_lrs
from imageclf.training.run_config import Config


def for_ranks(config: Config, environment: Environment) -> Config:
    """Return a config for the ranks that there are: its rates by `lr_scaling`, and a rank's batches.

    With `data.global_batch_size` torchrun may start any number of ranks, also another one after a restart,
    and the trainer node follows.

    Raises:
        InputError: as `scale_lrs` and `per_process`.
    """
    if config.data.loading.global_batch_size is None:
        return scale_lrs(config, total_ranks(config.trainer))
    launched = torchrun_ranks(environment)
    if launched is not None:
        local, total = launched
        config = replace(config, trainer={**config.trainer, "devices": local, "num_nodes": total // local})
    ranks = total_ranks(config.trainer)
    return per_process(scale_lrs(config, ranks), ranks)


def per_process(config: Config, ranks: int) -> Config:
    """Return a config whose batch sizes are a rank's; as it is without `data.global_batch_size`.

    `ranks` are those of all nodes.

    Raises:
        InputError: the ranks do not divide a batch.
    """
    loading = config.data.loading
    if loading.global_batch_size is None:
        return config
    own = _share(ranks, loading.global_batch_size, "data.global_batch_size")
    return with_batches(config, own, partial(_share, ranks))


def with_batches(config: Config, size: int, change: Callable[[int, str], int]) -> Config:
    """Return a config with another batch size, and with those of its phases and cycles changed.

    `size` is for `data.batch_size`; `change` takes the size of a phase or cycle, and its key.
    """

    def changed(value: int | Sequence[int] | None, key: str) -> int | list[int] | None:
        """Change the size of a phase, or those of its cycles."""
        if isinstance(value, Sequence):
            return [change(each, key) for each in value]
        return None if value is None else change(value, key)

    phases = {
        name: replace(phase, batch_size=changed(phase.batch_size, f"schedule.phases.{name}.batch_size"))
        for name, phase in config.schedule.phases.items()
    }
    data = replace(config.data, loading=replace(config.data.loading, batch_size=size))
    return replace(config, data=data, schedule=Schedule(phases))


def _share(ranks: int, pictures: int, key: str) -> int:
    if pictures % ranks:
        near = max(ranks, pictures - pictures % ranks)
        raise InputError(
            f"{key}={pictures}: {ranks} ranks do not divide it; give a multiple of {ranks}, such as {near}"
        )
    return pictures // ranks
