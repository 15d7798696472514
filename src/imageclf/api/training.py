"""Train from Python."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.api.calling import Override, arguments, process_as_found
from imageclf.api.pictures import AnyPath
from imageclf.api.run import Run, load
from imageclf.configs.called import call
from imageclf.launch.start import train_composed
from imageclf.training.logs import logged


def train(
    *overrides: Override,
    data: AnyPath | None = None,
    model: str | None = None,
    schedule: str | None = None,
    run_dir: AnyPath | None = None,
    **values: object,
) -> Run:
    """Train as imageclf-train does, and return the finished run.

    Ctrl-C, and the button that interrupts a notebook, saves at the next safe point and raises
    KeyboardInterrupt; a second one ends the run at once. Give `run_dir` and `ckpt_path="auto"` to go on.

    Args:
        overrides: any keys: "data.batch_size=32" as on the command line, or {"data.batch_size": 32}.
        data: a folder of pictures, a CSV, or an option of `conf/data`; None: the demo.
        model: the name of a timm model, or an option of `conf/model`; None: lite0.
        schedule: an option of `conf/schedule`; None: lesson2.
        run_dir: of the run (`hydra.run.dir`); None: a new one below `runs/`.
        values: further groups and keys of the top level, such as seed=1, trainer="cpu", ckpt_path="auto".

    Raises:
        InputError: a mistake in the config or the data, in the words of the command.
        KeyboardInterrupt: Ctrl-C was pressed.
        Preempted: another signal asked the run to end.
    """
    named = {"data": data, "model": model, "schedule": schedule, "hydra.run.dir": run_dir}
    given = {key: value for key, value in named.items() if value is not None}
    with process_as_found():
        folder = call("train", arguments(overrides, given | values), _train)
    # The config is this program's own.
    return load(folder, trust="all")


def _train(cfg: DictConfig, folder: Path) -> Path:
    with logged(folder / "train.log"):
        train_composed(cfg, folder, list(HydraConfig.get().overrides.task))
    return folder
