"""plan.csv and plan.png: what every step does; learning rates are filled in as they are found."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning as pl
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.data import ImageData
from imageclf.model.module import ClassifierModule
from imageclf.report.plots.curves import learning_rate_figure
from imageclf.report.plots.style import save_figure
from imageclf.schedule import RunState, Schedule, phase_rows, step_rows
from imageclf.schedule.plan import Row
from imageclf.system.printable import cell
from imageclf.system.words import counted

_NUMBERS = ("epochs", "steps", "size", "trains")


def write_plan(
    folder: Path,
    schedule: Schedule,
    module: ClassifierModule,
    data: ImageData,
    found: Mapping[str, float],
    num_ranks: int = 1,
) -> None:
    """Write a row per training step as plan.csv, and plan.png.

    `found` has the head's learning rate of each phase whose `lr` is auto: where it is missing, plan.csv is
    blank and plan.png shows the shape of the rates. `num_ranks` share each epoch.
    """

    def rows(found: Mapping[str, float]) -> pd.DataFrame:
        """Return a row per training step."""
        groups, num_batches = module.groups, partial(data.num_batches, world_size=num_ranks)
        return pd.DataFrame(
            step_rows(schedule, groups.names, num_batches, data.loading.size, found, depths=groups.tops)
        )

    plan = rows(found)
    plan.to_csv(folder / "plan.csv", index=False)
    shape = rows(dict.fromkeys(schedule.phases, 1.0) | dict(found))
    save_figure(learning_rate_figure(plan, shape), folder / "plan.png")


def phase_table(schedule: Schedule, module: ClassifierModule, data: ImageData) -> RichTable:
    """Return a row per phase as the terminal shows it, and the layer groups below."""
    groups = module.groups
    parameters = groups.count_parameters(module.model)
    rows = phase_rows(
        schedule, groups.names, data.num_batches, data.loading.size, parameters, depths=groups.tops
    )
    steps = sum(int(row["steps"] or 0) for row in rows)
    title = f"{counted(schedule.epochs, 'epoch')}, {counted(steps, 'step')}"
    counts = [f"{name} {_millions(count)}" for name, count in zip(groups.names, parameters, strict=True)]
    caption = f"layer groups: {', '.join(counts)}"
    # Eighty columns are all that a log or a narrow terminal has.
    table = RichTable(
        title=title, caption=cell(caption), box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for name in _shown(rows[0]):
        table.add_column(cell(name), justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(cell, _shown(row).values()))
    return table


def _shown(row: Row) -> dict[str, str]:
    """Return a row's cells as text, with the rates of all groups in one."""
    cells = {name: str(cell) for name, cell in row.items()}
    cells["trains"] = _millions(int(row["trains"] or 0))
    rates = [cells.pop(name) for name in row if name.startswith("lr/")]
    where = list(cells).index("size") + 1
    items = list(cells.items())
    return dict([*items[:where], ("lr, body to head", " ".join(rates)), *items[where:]])


def _millions(count: int) -> str:
    return f"{count / 1e6:.3g} M"


class Plan(Callback):
    """Write the plan when a run starts, and again when a learning rate has been found."""

    order = Order.END

    def __init__(self, run_dir: Path, schedule: Schedule, state: RunState) -> None:
        self._run_dir = run_dir
        self._schedule = schedule
        self._state = state

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the plan if a phase starts."""
        place = self._schedule.at(trainer.current_epoch)
        is_changed = trainer.current_epoch == 0 or (place.is_phase_start and place.phase.lr == "auto")
        if is_changed and trainer.is_global_zero:
            module: Any = pl_module
            found, ranks = self._state.found_lrs, trainer.world_size
            write_plan(self._run_dir, self._schedule, module, data_of(trainer), found, ranks)
