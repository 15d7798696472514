"""Print and plot what a training will do, without training."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from imageclf.callbacks.always.plan_files import phase_table, write_plan
from imageclf.configs import to_plain
from imageclf.schedule import step_rows
from imageclf.system.printable import console
from imageclf.training.build import build_parts
from imageclf.training.parts.table import read_table
from imageclf.training.planned_machine import machine_line
from imageclf.training.run_config import RunConfig, parse


def run(cfg: DictConfig, folder: Path) -> None:
    """Print the phases as a table; write plan.csv and plan.png."""
    config = parse(to_plain(cfg), RunConfig)
    # The plan needs the architecture, not its weights.
    config = replace(config, model=replace(config.model, weights="none"))
    schedule, module, data = build_parts(config, read_table(config.data, verify=False))
    console().print(phase_table(schedule, module, data))
    print(machine_line(config.trainer, data))
    rows = step_rows(
        schedule,
        module.groups.names,
        data.num_batches,
        data.loading.size,
        found={},
        depths=module.groups.tops,
    )
    write_plan(pd.DataFrame(rows), folder)
    print(folder / "plan.png")
