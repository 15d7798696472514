"""A server of MLflow holds a sweep, one job of which goes into a run that was there before."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import requests
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from sweeps import train, wait_for

pytestmark = pytest.mark.long


class Served(NamedTuple):
    """What a server holds after the sweep.

    Args:
        client: of the server.
        existing: the run that was begun before the sweep.
        runs: all runs of the experiment, that one first.
        code: the sweep's exit code.
        jobs: the folder of its two jobs.
    """

    client: MlflowClient
    existing: Run
    runs: list[Run]
    code: int
    jobs: Path


def answers(address: str) -> bool:
    try:
        return bool(requests.get(f"{address}/health", timeout=1).ok)
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """Return the address of a server that keeps its files where no run directory is."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = [f"--backend-store-uri=sqlite:///{folder}/server.db", f"--artifacts-destination={folder}/files"]
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    with (folder / "log").open("w") as said:
        process = subprocess.Popen(
            [*command, *places], stdout=said, stderr=said, cwd=folder, start_new_session=True
        )
        try:
            wait_for(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}"))
            assert process.poll() is None, (folder / "log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            # With its workers.
            os.killpg(process.pid, 9)
            process.wait()


@pytest.fixture(scope="module")
def served(server, tiny, tmp_path_factory) -> Served:
    folder = tmp_path_factory.mktemp("served")
    client = MlflowClient(server)
    experiment = client.create_experiment("imageclf")
    existing = client.create_run(experiment, run_name="mine", tags={"of": "before"})
    place = [f"logger.mlflow.tracking_uri={server}", "logger.mlflow.artifact_location=null"]
    sweep = [f"logger.mlflow.run_id={existing.info.run_id},null", "hydra.sweep.dir=sweep"]
    code, _ = train(folder, "-m", *tiny, "callbacks.tta.num_augmented=1", "logger=mlflow", *place, *sweep)
    runs = client.search_runs([experiment], order_by=["attributes.start_time"])
    return Served(client, existing, list(runs), code, folder / "sweep")


def artifacts(served: Served, run: Run) -> set[str]:
    return {each.path for each in served.client.list_artifacts(run.info.run_id)}


def last(path: Path) -> dict[str, Any]:
    return pd.read_csv(path).iloc[-1].to_dict()


def test_one_job_goes_into_the_run_that_was_there_and_the_other_into_its_own(served):
    assert served.code == 0
    first, second = served.runs
    assert first.info.run_id == served.existing.info.run_id
    assert (first.data.tags["of"], "of" in second.data.tags) == ("before", False)


def test_each_job_closes_its_run(served):
    assert [run.info.status for run in served.runs] == ["FINISHED"] * 2


def test_each_run_has_the_scores_of_its_job(served):
    for number, run in enumerate(served.runs):
        scores = last(served.jobs / str(number) / "metrics.csv")
        assert run.data.metrics["val/loss"] == pytest.approx(scores["val/loss"])


def test_each_run_has_a_learning_rate_for_each_step(served):
    for run in served.runs:
        steps = [each.step for each in served.client.get_metric_history(run.info.run_id, "lr/head")]
        assert steps == list(range(6))


def test_the_server_keeps_the_pictures_and_the_report_of_each(served, tmp_path):
    for number, run in enumerate(served.runs):
        assert {"confusion_matrix.png", "report.html"} <= artifacts(served, run)
        found = served.client.download_artifacts(run.info.run_id, "report.html", str(tmp_path))
        assert Path(found).read_bytes() == (served.jobs / str(number) / "report.html").read_bytes()
        assert not (served.jobs / str(number) / "mlartifacts").exists()
