"""What a plan expects of a run is what the run finds."""

from dataclasses import replace
from pathlib import Path

import lightning as pl
from small_runs import SMALL, THREE_PHASES, composed

from imageclf.callbacks.always.progress import workload_of
from imageclf.commands.plan import planned_workload, seconds_of_batch
from imageclf.configs import to_plain
from imageclf.training.build import build_callbacks, build_parts
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse


def test_the_work_besides_the_epochs_is_that_of_the_runs_data_and_callbacks(
    pictures: Path, tmp_path: Path
) -> None:
    typed = [*SMALL, *THREE_PHASES, f"data.root={pictures}", "callbacks.tta.num_augmented=3"]
    config = parse(to_plain(composed(typed, tmp_path)), RunConfig)
    parts = build_parts(config, read_table(config.data, verify=False))
    trainer = pl.Trainer(
        callbacks=build_callbacks(config, parts.state, tmp_path), logger=False, enable_checkpointing=False
    )
    trainer.datamodule = parts.data  # type: ignore[attr-defined]
    assert planned_workload(config, parts.data) == workload_of(trainer)
    assert seconds_of_batch(parts.module, 32, 2) > 0
    # Nobody knows how many views another class in the place of ours predicts.
    own = replace(config, callbacks={**config.callbacks, "tta": {"_target_": "lightning.Callback"}})
    assert planned_workload(own, parts.data).views == 0
