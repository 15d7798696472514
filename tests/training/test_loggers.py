"""What TensorBoard, Weights & Biases and MLflow hold of a run that was stopped and went on: read from their files."""

import json
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import wandb
from imageclf import InputError
from imageclf.launch.start import train
from imageclf.training.directory import prepare
from imageclf.training.parts.loggers import build_loggers, opened, with_id
from wandb.proto import wandb_internal_pb2

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
            {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item} for row in rows
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


def plan_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "plan.csv")


def test_x(logged):
    print(list(logged.folder.rglob("*")))
    print(logged.tensorboard.Tags())
    print(logged.history[0], logged.history[-1])
    print(logged.mlflow[1])
