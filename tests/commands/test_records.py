"""Read runs at any moment of their life."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from omegaconf import OmegaConf

from imageclf.commands.records import LOCK, find_folders, is_locked, read_record
from imageclf.tasks import Multilabel

HOUR = 3600


@pytest.fixture
def run_dir(finished_run, tmp_path):
    """Return a copy of a real run below a root, with what Hydra writes beside it."""
    shutil.copytree(finished_run, tmp_path / "sweep" / "0")
    (tmp_path / "sweep" / "0" / ".hydra").mkdir()
    return tmp_path / "sweep" / "0"


@pytest.fixture
def read(run_dir, tmp_path):
    """Return a function that reads the run as it is now."""
    return lambda: read_record(run_dir, tmp_path)


@pytest.fixture
def unfinished(run_dir):
    """Return the run without its summary, as while it trains."""
    (run_dir / "summary.json").unlink()
    return run_dir


def runs_in(root):
    """Return the folders of a tree that are runs."""
    return [folder for folder, reason in find_folders(root) if not reason]


def age(run_dir, seconds: float) -> None:
    """Make every file of a run so much older."""
    paths = [path for path in run_dir.rglob("*") if path.is_file()]
    assert paths
    then = time.time() - seconds
    for path in paths:
        os.utime(path, (then, then))


def test_a_real_run_is_read(read, run_dir):
    run = read()
    assert (run.name, run.status, run.cause, run.epochs) == ("sweep/0", "finished", "", 2)
    assert run.config["data.size"] == 32
    assert run.summary == json.loads((run_dir / "summary.json").read_text())
    assert list(run.metrics["epoch"]) == [0, 1]
    assert run.report == str(run_dir / "report.html")


def test_a_run_of_an_earlier_version_differs_in_no_key_that_this_version_added(read, run_dir):
    now, config = read().config, OmegaConf.load(run_dir / "config.yaml")
    for node, key in [(config, "budget"), (config, "task"), (config.data, "bits")]:
        del node[key]
    for phase in config.schedule.phases.values():
        del phase["moms"]
    OmegaConf.save(config, run_dir / "config.yaml")
    assert read().config == now
    (run_dir / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: {choices: {data: folder}}}")
    assert read().choices == {"data": "folder", "task": "multiclass"}


def test_predictions_are_read_of_folds_only(read, run_dir):
    assert read().predictions.empty
    config = (run_dir / "config.yaml").read_text()
    assert "  fold: null\n" in config
    # The run held nothing out as a fold; its own table of predictions is not there at all.
    (run_dir / "config.yaml").write_text(config.replace("  fold: null\n", "  fold: 1\n"))
    assert (
        len(read().predictions) == len((run_dir / "predictions" / "valid.csv").read_text().splitlines()) - 1
    )


def test_a_run_whose_settings_are_illegal_keeps_its_task(read, run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    (run_dir / "summary.json").write_text(json.dumps(summary | {"task": "multilabel"}))
    config = OmegaConf.load(run_dir / "config.yaml")
    config.task = {"beta": 0}
    OmegaConf.save(config, run_dir / "config.yaml")
    assert read().task == Multilabel()


def test_a_run_that_writes_is_running(read, unfinished):
    # The files are copies, as old as the run of the session that they come from.
    age(unfinished, 0)
    assert read().status == "running"


def test_a_run_that_wrote_nothing_for_long_has_stopped(read, unfinished):
    age(unfinished, 2 * HOUR)
    assert read().status == "stopped"


def test_a_run_with_long_epochs_is_given_time(read, unfinished):
    metrics = (unfinished / "metrics.csv").read_text().splitlines()
    metrics[1] = metrics[1].rpartition(",")[0] + f",{HOUR}"
    (unfinished / "metrics.csv").write_text("\n".join(metrics) + "\n")
    age(unfinished, 2 * HOUR)
    assert read().status == "running"


@contextmanager
def holder_of(run_dir):
    """Let another process hold a run directory, as a training does."""
    code = "import sys, pathlib; from imageclf.system.locks import locked\n"
    code += "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(run_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield


def test_a_run_that_holds_its_lock_is_running_however_quiet_it_is(read, unfinished):
    age(unfinished, 9 * HOUR)
    with holder_of(unfinished):
        assert read().status == "running"
    assert read().status == "stopped"


def test_a_lock_is_told_from_a_free_and_from_a_missing_one(tmp_path):
    path = tmp_path / LOCK
    assert is_locked(path) is None
    with holder_of(tmp_path):
        assert is_locked(path) is True
    assert is_locked(path) is False


def test_a_run_that_failed_says_how_and_why(read, unfinished):
    failure = {"status": "failed", "exit_code": 2, "cause": "CUDA out of memory:\n  2 GiB"}
    (unfinished / "failed.json").write_text(json.dumps(failure))
    run = read()
    assert (run.status, run.cause) == ("failed", "CUDA out of memory: 2 GiB")


def test_a_run_that_was_finished_after_a_failure_is_finished(read, run_dir):
    (run_dir / "failed.json").write_text('{"status": "preempted", "cause": "SIGTERM"}')
    run = read()
    assert (run.status, run.cause) == ("finished", "")


@pytest.mark.parametrize("content", ["", "{", '{"val/acc": 0.', "[1, 2]", "null", "\x00\x00"])
def test_a_damaged_summary_is_no_summary(content, read, run_dir):
    (run_dir / "summary.json").write_text(content)
    assert read().status == "running"
    assert read().summary == {}


@pytest.mark.parametrize("content", ["", "epoch,phase", "epoch,phase\n0", 'epoch,phase\n0,"he', "\x00"])
def test_damaged_metrics_are_read_as_far_as_they_go(content, read, unfinished):
    (unfinished / "metrics.csv").write_text(content)
    assert len(read().metrics) <= 1


@pytest.mark.parametrize("content", ["", "data: {", "- 1", "\x00", "schedule: 3"])
def test_a_damaged_config_leaves_the_rest(content, read, run_dir):
    (run_dir / "config.yaml").write_text(content)
    run = read()
    assert (run.status, run.epochs) == ("finished", None)


@pytest.mark.parametrize(
    "name", ["summary.json", "metrics.csv", "config.yaml", "plan.csv", ".hydra", "snapshots"]
)
def test_any_file_may_be_missing(name, read, run_dir):
    path = run_dir / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    assert read().name == "sweep/0"


def test_a_job_that_failed_before_its_config_was_written_is_found(tmp_path):
    job = tmp_path / "sweep" / "1"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra" / "config.yaml").write_text("seed: 3\nschedule: ${oc.env:X}\n")
    (job / "failed.json").write_text('{"status": "mistake", "cause": "data.root is missing"}')
    assert list(find_folders(tmp_path)) == [(job, "")]
    run = read_record(job, tmp_path)
    assert (run.status, run.cause, run.config["seed"], run.config["schedule"]) == (
        "mistake", "data.root is missing", 3, "?",
    )  # fmt: skip


def test_runs_are_found_at_any_depth_and_nothing_inside_of_them(run_dir, tmp_path):
    shutil.copytree(run_dir, tmp_path / "one")
    shutil.copytree(run_dir, run_dir / "inner")
    (tmp_path / "other" / ".hydra").mkdir(parents=True)
    (tmp_path / "other" / "config.yaml.txt").touch()
    assert runs_in(tmp_path) == [tmp_path / "one", run_dir]


def test_a_run_may_be_the_root_itself(run_dir):
    assert runs_in(run_dir) == [run_dir]
    assert read_record(run_dir, run_dir).name == "0"


def test_a_job_that_waits_in_a_queue_is_pending(run_dir, read):
    for path in run_dir.iterdir():
        if path.name not in ("config.yaml", ".hydra"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert read().status == "pending"


def test_a_damaged_file_is_told_with_the_run_that_holds_it(read, run_dir, caplog):
    (run_dir / "summary.json").write_text("{")
    read()
    assert caplog.messages[0].startswith(f"{run_dir}: what cannot be read is taken as missing: ")
