"""docs/own-code.md, from an installed wheel in an empty folder: files as they stand, commands made small."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from installed_wheel import Call

PAGE = (Path(__file__).parents[1] / "docs/own-code.md").read_text(encoding="utf-8")
# The first line of a file is its path.
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
PHASES = ("head", "finetune")
SMALL = [
    *("schedule=quick", *(f"schedule.phases.{phase}.size=32" for phase in PHASES), "data.size=32"),
    *("data.num_workers=0", "trainer=cpu"),
]
TIMM = ["model.backbone=test_efficientnet", "model.weights=none"]

SOURCE = ["data=folder", "data._target_=my_source.ByFileName", "data.root=scans", "data.suffix=.png"]
# Every part at once.
ALL = [
    *SOURCE,
    *("model.backbone._target_=my_model.SmallNet", "model.head._target_=my_head.CosineHead"),
    *("model.loss._target_=my_loss.PolyLoss", "callbacks.norm._target_=my_callback.GradientNorm"),
    "transforms.extra={_target_: my_transform.Stripes, count: 3}",
    "metrics.top2={_target_: my_metric.top2, _partial_: true, higher_is_better: true}",
    "logger.json={_target_: my_logger.JsonLines, path: '${hydra:runtime.output_dir}/log.jsonl'}",
    "data.batch_size=4",
]
STOP = """
import os
import signal
from pathlib import Path

import lightning as pl


class Stop(pl.Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == 2 and not Path("stopped").exists():
            Path("stopped").touch()
            os.kill(os.getpid(), signal.SIGTERM)
"""


def made_small(command: str) -> list[str]:
    """Return what makes a command of the page quick."""
    if not command.startswith("imageclf-train"):
        return []
    if "ckpt_path=auto" in command:
        return ["data.size=32"]
    # The sweep is of a loss, and gets a callback of one's own as well.
    more = ["callbacks.norm._target_=my_callback.GradientNorm"] if " -m " in command else []
    return [*SMALL, *more, *([] if "model.backbone" in command else TIMM)]


@pytest.fixture(scope="module")
def folder(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty folder with the files of the page, and the pictures that it names."""
    folder = tmp_path_factory.mktemp("own-code")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copytree(pictures, folder / "photos")
    (folder / "scans").mkdir()
    for path in pictures.glob("*/*.png"):
        shutil.copy(path, folder / "scans" / f"{path.parent.name}_{path.name}")
    shutil.copytree(pictures / "red", folder / "new")
    return folder


@pytest.fixture(scope="module")
def run(installed: Call, folder: Path) -> Callable[[str], Path]:
    """Return a function that runs a command of the page, and returns the path that it prints last."""

    def call(command: str) -> Path:
        name, *words = shlex.split(command)
        done = installed(name, *words, *made_small(command), folder=folder)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return folder / done.stdout.splitlines()[-1]

    return call


@pytest.fixture(scope="module")
def outputs(run: Callable[[str], Path]) -> dict[str, Path]:
    """Run every command of the page in its order, and return what it leads to by what was typed."""
    return {command: run(command) for command in COMMANDS}


def test_the_page_has_a_file_for_each_part_and_commands_for_each_file() -> None:
    parts = ("loss", "head", "model", "transform", "callback", "source", "metric", "logger")
    assert list(FILES) == [*(f"my_{part}.py" for part in parts), "conf/experiment/mine.yaml"]
    assert len(COMMANDS) == 19
    assert all(f"my_{part}." in PAGE.partition("## All of it")[0] for part in parts)


@pytest.mark.long
def test_every_command_leads_to_a_run_a_table_or_a_model(outputs: dict[str, Path]) -> None:
    assert len(outputs) == len(COMMANDS)
    for command, path in outputs.items():
        found = {"imageclf-train": "summary.json", "imageclf-export": "model.onnx"}.get(
            command.split()[0], ""
        )
        place = next(path.glob("*/summary.json")) if " -m " in command else path / found
        assert place.exists(), command


@pytest.mark.long
def test_each_part_has_done_its_work(outputs: dict[str, Path], folder: Path) -> None:
    runs = folder / "runs"
    assert len(list((runs / "epsilons").glob("*/summary.json"))) == 2
    assert len(list((runs / "epsilons").glob("*/gradients.csv"))) == 2
    assert "val/top2" in json.loads((runs / "metric/summary.json").read_text())
    assert (runs / "callback/gradients.csv").read_text().startswith("0,")
    logged = [json.loads(line) for line in (runs / "logger/log.jsonl").read_text().splitlines()]
    assert any("val/acc" in line for line in logged)
    assert pd.read_csv(runs / "source/split.csv")["label"].unique().tolist() == ["blue", "green", "red"]


@pytest.mark.long
def test_a_run_of_ones_own_parts_is_not_opened_without_trust(
    outputs: dict[str, Path], installed: Call, folder: Path
) -> None:
    for name, key in (("head", "model.head"), ("whole", "model.backbone")):
        done = installed("imageclf-predict", f"run=runs/{name}", "data=new", "output=none.csv", folder=folder)
        assert done.returncode == 1
        assert f"{key}._target_=my_" in done.stderr and "give trust=[my_" in done.stderr


@pytest.mark.long
def test_from_another_folder_the_config_folder_says_where_the_code_is(
    outputs: dict[str, Path], installed: Call, folder: Path, tmp_path: Path
) -> None:
    words = [f"run={folder}/runs/head", f"data={folder}/new", "trust=[my_head]", "output=new.csv"]
    lost = installed("imageclf-predict", *words, folder=tmp_path)
    assert lost.returncode == 1
    assert f"no installed package is called my_head, and there is no my_head.py in {tmp_path};" in lost.stderr
    found = installed("imageclf-predict", f"--config-dir={folder}", *words, folder=tmp_path)
    assert found.returncode == 0, found.stderr


@pytest.mark.long
def test_a_run_of_ones_own_parts_that_is_stopped_and_goes_on_ends_with_the_same_weights(
    installed: Call, folder: Path
) -> None:
    (folder / "my_stop.py").write_text(STOP)
    stop = "callbacks.stop._target_=my_stop.Stop"
    whole = installed("imageclf-train", *ALL, *SMALL, "hydra.run.dir=runs/undisturbed", folder=folder)
    assert whole.returncode == 0, whole.stderr
    stopped = installed("imageclf-train", *ALL, *SMALL, stop, "hydra.run.dir=runs/stopped", folder=folder)
    assert stopped.returncode == 75, stopped.stderr
    # The command line names none of the parts but the source, so they have to be trusted.
    words = (*SOURCE, "data.size=32", "data.batch_size=4", "hydra.run.dir=runs/stopped", "ckpt_path=auto")
    refused = installed("imageclf-train", *words, folder=folder)
    assert refused.returncode == 1 and "give trust=[my_" in refused.stderr
    trust = f"trust=[{','.join(Path(name).stem for name in FILES if name.endswith('.py'))},my_stop]"
    on = installed("imageclf-train", *words, trust, folder=folder)
    assert on.returncode == 0, on.stderr
    weights = [final_weights(folder / "runs" / name) for name in ("undisturbed", "stopped")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.long
def test_ranks_find_it_too(installed: Call, folder: Path) -> None:
    ranks = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=runs/ranks"]
    small = [each for each in SMALL if each != "trainer=cpu"]
    done = installed("imageclf-train", *ALL, *small, *ranks, folder=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "runs/ranks/summary.json").read_text())["epochs"] == 2


def final_weights(run_dir: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)[
        "state_dict"
    ]
    return weights


@pytest.mark.long
def test_no_file_that_lies_beside_the_pictures_is_run(
    installed: Call, pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(pictures, tmp_path / "photos")
    # Of Python itself, of packages that every run imports, and of optional ones.
    names = ("threading", "warnings", "torch", "lightning", "imageclf", "wandb", "pyarrow", "sitecustomize")
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"open('{tmp_path}/{name} was run', 'w')\n")
    workers = [each for each in SMALL if each not in ("trainer=cpu", "data.num_workers=0")]
    ranks = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.num_workers=1"]
    done = installed("imageclf-train", "data=photos", *workers, *TIMM, *ranks, folder=tmp_path, fresh=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("* was run")) == []
