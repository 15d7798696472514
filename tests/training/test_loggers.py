"""What TensorBoard, Weights & Biases and MLflow hold of a run that was stopped and went on."""

import json
import os
import re
import shutil
import struct
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import wandb
import yaml
from mlflow.tracking import MlflowClient
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2
from wandb.wandb_agent import Agent

from imageclf import InputError
from imageclf.configs import CONF_DIR, load_config
from imageclf.launch.start import train
from imageclf.system.errors import Preempted
from imageclf.training.directory import prepare
from imageclf.training.parts.loggers import build_loggers, opened

pytestmark = pytest.mark.long

PAGE = (Path(CONF_DIR).parent / "docs/loggers.md").read_text(encoding="utf-8")
WANDB = "lightning.pytorch.loggers.WandbLogger"
STOP = "+callbacks.stop={_target_: probes.StopAt, epoch: 1, batch: 1}"
SAVES = "callbacks.checkpoint.every_n_batches=1"
FULL, LAST = 1, 4
PICTURES = {"confusion_matrix", "most_wrong"}


def records(file: Path) -> list[Any]:
    """Return the records of an offline run of Weights & Biases: a log of LevelDB's format after 7 bytes.

    Source: https://github.com/google/leveldb/blob/main/doc/log_format.md
    """
    content, place, found, part = file.read_bytes(), 7, [], b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            # No header fits into the rest of the block.
            place += 32768 - place % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (FULL, LAST):
            found.append(wandb_internal_pb2.Record.FromString(part))
            part = b""
    return found


def values(items: Any) -> dict[str, Any]:
    """Return the values of a record of Weights & Biases by their names."""
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


class Logged(NamedTuple):
    """A finished run, and the records of its two starts in Weights & Biases."""

    folder: Path
    starts: list[list[Any]]

    def of_wandb(self, kind: str) -> list[Any]:
        """Return the records of one kind of both starts."""
        return [getattr(each, kind) for start in self.starts for each in start if each.HasField(kind)]

    @property
    def history(self) -> list[dict[str, Any]]:
        """Return the rows that Weights & Biases has."""
        rows = self.of_wandb("history")
        return [
            {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item}
            for row in rows
        ]

    @property
    def mlflow(self) -> tuple[MlflowClient, Any]:
        """Return MLflow's client of the run's database, and its only run."""
        client = MlflowClient(f"sqlite:///{self.folder}/mlflow.db")
        (run,) = client.search_runs([client.get_experiment_by_name("imageclf").experiment_id])
        return client, run

    @property
    def tensorboard(self) -> EventAccumulator:
        """Return TensorBoard's reader of the run."""
        return EventAccumulator(str(self.folder / "tensorboard")).Reload()


@pytest.fixture(scope="module")
def logged(composed, tiny, tmp_path_factory) -> Iterator[Logged]:
    folder = tmp_path_factory.mktemp("logged")
    typed = [*tiny, "logger=many", "tags=[mine]", "callbacks.tta.num_augmented=1", SAVES, STOP]
    # The run directory of `composed` is shared.
    own = [f"logger.{name}={value}" for name, value in places(folder).items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        cfg = composed(*typed, *own)
        prepare(cfg, folder, [])
        with pytest.raises(RuntimeError, match="stopped on purpose"):
            train(folder)
        train(folder)
        wandb.teardown()
    files = sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    yield Logged(folder, [records(file) for file in files])


def places(folder: Path) -> dict[str, str]:
    return {
        "wandb.save_dir": str(folder),
        "tensorboard.save_dir": str(folder),
        "mlflow.tracking_uri": f"sqlite:///{folder}/mlflow.db",
        "mlflow.artifact_location": f"{folder}/mlartifacts",
    }


def test_a_run_that_goes_on_logs_into_the_same_run(logged):
    ids = json.loads((logged.folder / "loggers.json").read_text())
    assert [run.run_id for run in logged.of_wandb("run")] == [ids["wandb"]] * 2
    assert logged.mlflow[1].info.run_id == ids["mlflow"]
    assert len(list(logged.folder.glob("tensorboard/events*"))) == 2


def test_each_start_is_closed_and_says_whether_it_failed(logged):
    assert [end.exit_code for end in logged.of_wandb("exit")] == [1, 0]
    assert logged.mlflow[1].info.status == "FINISHED"


def test_every_logger_has_the_learning_rate_of_each_step_of_the_plan(logged):
    plan = pd.read_csv(logged.folder / "plan.csv").set_index("step")["lr/head"].to_dict()
    client, run = logged.mlflow
    found = {
        "tensorboard": {each.step: each.value for each in logged.tensorboard.Scalars("lr/head")},
        "wandb": {row["trainer/global_step"]: row["lr/head"] for row in logged.history if "lr/head" in row},
        "mlflow": {each.step: each.value for each in client.get_metric_history(run.info.run_id, "lr/head")},
    }
    assert found == dict.fromkeys(found, pytest.approx(plan))


@pytest.mark.parametrize("score", ["train/loss", "val/loss", "val/acc"])
def test_every_logger_has_the_scores_of_each_epoch(score, logged):
    rows = pd.read_csv(logged.folder / "metrics.csv")[score].to_list()
    client, run = logged.mlflow
    found = {
        "tensorboard": [each.value for each in logged.tensorboard.Scalars(score)],
        "wandb": [row[score] for row in logged.history if score in row],
        "mlflow": [each.value for each in client.get_metric_history(run.info.run_id, score)],
    }
    assert found == dict.fromkeys(found, pytest.approx(rows))


def test_every_logger_has_the_final_scores(logged):
    summary = json.loads((logged.folder / "summary.json").read_text())
    expected = {name: summary[name] for name in ("val/acc_best", "model/acc", "model/loss")}
    (of_wandb,) = [row for row in logged.history if "model/acc" in row]
    found = {
        "tensorboard": {name: logged.tensorboard.Scalars(name)[-1].value for name in expected},
        "wandb": {name: of_wandb[name] for name in expected},
        "mlflow": {name: logged.mlflow[1].data.metrics[name] for name in expected},
    }
    assert found == dict.fromkeys(found, pytest.approx(expected))


def test_every_logger_has_the_same_pictures(logged):
    client, run = logged.mlflow
    for name in PICTURES:
        (event,) = logged.tensorboard.Images(name)
        of_mlflow = client.download_artifacts(run.info.run_id, f"{name}.png")
        of_wandb = next(logged.folder.glob(f"wandb/*/files/media/images/{name}_*.png"))
        pixels = [np.asarray(Image.open(path).convert("RGB")) for path in (of_mlflow, of_wandb)]
        pixels.append(np.asarray(Image.open(BytesIO(event.encoded_image_string))))
        assert pixels[0].std() > 10
        assert [np.array_equal(pixels[0], each) for each in pixels] == [True] * 3


def test_the_report_is_an_artifact_where_there_are_artifacts(logged):
    report = (logged.folder / "report.html").read_bytes()
    client, run = logged.mlflow
    assert Path(client.download_artifacts(run.info.run_id, "report.html")).read_bytes() == report
    (entry,) = [each.manifest.contents[0] for each in logged.of_wandb("artifact") if each.type == "report"]
    assert (entry.path, entry.size) == ("report.html", len(report))


def test_the_config_is_sent_without_what_may_change_when_a_run_goes_on(logged):
    config = load_config(logged.folder / "config.yaml")
    of_wandb = {
        item.key: json.loads(item.value_json) for each in logged.of_wandb("config") for item in each.update
    }
    of_mlflow = logged.mlflow[1].data.params
    assert of_wandb["schedule.phases.finetune.lr"] == config["schedule"]["phases"]["finetune"]["lr"]
    assert of_mlflow["model.backbone"] == "test_resnet"
    assert not {"ckpt_path", "data.num_workers"} & {*of_wandb, *of_mlflow}
    assert not [key for key in (*of_wandb, *of_mlflow) if key.startswith(("logger", "trainer.devices"))]


def test_a_preempted_run_is_told_from_one_that_failed(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    loggers = build_loggers({"mine": {"_target_": WANDB, "save_dir": str(tmp_path)}}, tmp_path)
    with pytest.raises(Preempted), opened(loggers, tmp_path):
        raise Preempted
    wandb.teardown()
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert "preempting" in {each.WhichOneof("record_type") for each in records(file)}


def test_a_run_of_wandb_that_was_there_is_logged_into(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    node = {"_target_": WANDB, "save_dir": str(tmp_path), "id": "3k2v9x1a"}
    with opened(build_loggers({"mine": node}, tmp_path), tmp_path):
        wandb.log({"score": 1})
    wandb.teardown()
    (file,) = tmp_path.glob("wandb/offline-run-*-3k2v9x1a/*.wandb")
    (run,) = [each.run for each in records(file) if each.HasField("run")]
    assert run.run_id == "3k2v9x1a"


def test_a_run_of_wandb_that_a_notebook_began_is_used_and_left_open(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    begun = wandb.init(dir=tmp_path)
    loggers = build_loggers({"mine": {"_target_": WANDB, "save_dir": str(tmp_path)}}, tmp_path)
    with pytest.warns(UserWarning, match="already"), opened(loggers, tmp_path):
        assert loggers["mine"].experiment is begun
    assert wandb.run is begun
    wandb.log({"after": 1})
    # A teardown alone would leave it as the run of the tests that follow.
    begun.finish()
    wandb.teardown()


def test_a_place_that_mlflow_refuses_is_said_in_a_sentence(tmp_path):
    # What runs of earlier versions have.
    node = {"_target_": "lightning.pytorch.loggers.MLFlowLogger", "tracking_uri": f"file:{tmp_path}/mlruns"}
    with pytest.raises(InputError, match=r"logger\.mine cannot be built: .*sqlite"):
        build_loggers({"mine": node}, tmp_path)


def test_without_a_login_the_command_ends_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "config.yaml").write_text("seed: 1\n")
    loggers = build_loggers({"mine": {"_target_": WANDB, "save_dir": str(tmp_path)}}, tmp_path)
    with pytest.raises(InputError, match=r"logger\.mine cannot be opened: No API key.*wandb login"):
        opened(loggers, tmp_path).__enter__()
    wandb.teardown()


def test_the_agent_of_wandb_starts_the_sweep_of_the_page(pictures, tmp_path, monkeypatch, tiny):
    shutil.copytree(pictures, tmp_path / "photos")
    sweep = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    monkeypatch.chdir(tmp_path)
    small = [each for each in tiny if not each.startswith("data=") and not each.startswith("data.root")]
    (tmp_path / "wandb").mkdir()
    for name, value in {
        "WANDB_MODE": "offline",
        "WANDB_SWEEP_ID": "5weep",
        "WANDB_DIR": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(CONF_DIR).parent / "src"),
    }.items():
        monkeypatch.setenv(name, value)
    agent = Agent(api=None, queue=None, sweep_id="5weep")
    agent._sweep_command = [*sweep["command"], *small]
    chosen = {"schedule.phases.finetune.lr": {"value": 0.002}, "model/loss": {"value": "focal"}}
    assert chosen.keys() == sweep["parameters"].keys()
    agent._command_run({"run_id": "ch05en", "program": sweep["program"], "args": chosen})
    assert agent._run_processes["ch05en"].wait() == 0
    (run_dir,) = (tmp_path / "runs/train").iterdir()
    config = load_config(run_dir / "config.yaml")
    assert config["schedule"]["phases"]["finetune"]["lr"] == 0.002
    assert config["model"]["loss"]["_target_"].endswith("FocalLoss")
    (file,) = run_dir.glob("wandb/offline-run-*/*.wandb")
    (run,) = [each.run for each in records(file) if each.HasField("run")]
    assert (run.run_id, run.sweep_id) == ("ch05en", "5weep")
