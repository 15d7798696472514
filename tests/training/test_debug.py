"""Each debug config trains a tiny model, and does what it is for."""

import json

import pandas as pd
import pytest
import torch

from imageclf.configs import to_plain
from imageclf.launch.start import train
from imageclf.training.check_keys import check
from imageclf.training.directory import prepare
from imageclf.training.run_config import RunConfig


@pytest.fixture
def debug(composed, tiny, tmp_path):
    """Return a function that trains with a debug config and returns (run directory, metrics)."""

    def run(option, *overrides, schedule=True):
        words = tiny if schedule else [each for each in tiny if not each.startswith("schedule")]
        cfg = composed(*words, f"debug={option}", *overrides)
        check(to_plain(cfg), RunConfig)
        prepare(cfg, tmp_path, [])
        train(tmp_path)
        return tmp_path, pd.read_csv(tmp_path / "metrics.csv")

    return run


def steps_of(run_dir) -> int:
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]


def test_fast_dev_run_takes_a_step_of_every_epoch_and_writes_every_file(debug):
    run_dir, metrics = debug("fast_dev_run", "schedule.phases.head.lr=auto")
    assert list(metrics["phase"]) == ["head", "finetune"]
    assert steps_of(run_dir) == 2
    written = [
        "summary.json",
        "report.html",
        "lr_find/head.csv",
        "checkpoints/last.ckpt",
        "predictions/valid.csv",
    ]
    assert [name for name in written if not (run_dir / name).exists()] == []


def test_limit_takes_three_batches(debug):
    run_dir, _ = debug("limit", "data.batch_size=4")
    assert steps_of(run_dir) == 2 * 3


@pytest.mark.long
def test_overfit_learns_its_pictures_by_heart(debug):
    _, metrics = debug("overfit", schedule=False)
    assert len(metrics) == 100
    assert metrics["train/loss"].iloc[0] > 0.7
    assert metrics["train/loss"].iloc[-1] < 0.1


def test_overfitting_sees_the_same_pictures_in_every_epoch(parsed, tmp_path):
    from imageclf.training.build import build_parts, build_trainer
    from imageclf.training.parts.table import read_table

    given = parsed("debug=overfit", "data.batch_size=4")
    parts = build_parts(given, read_table(given.data))
    parts.data.trainer = build_trainer(given.trainer, 2, tmp_path, [])
    first, second = (next(iter(parts.data.training_requests(epoch))).rows.tolist() for epoch in (0, 1))
    assert first == second
    parts.data.trainer = build_trainer(parsed("data.batch_size=4").trainer, 2, tmp_path, [])
    assert next(iter(parts.data.training_requests(1))).rows.tolist() != first


def test_profile_writes_how_long_things_took(tiny, command, tmp_path):
    run_dir = tmp_path / "run"
    outcome = command("train", *tiny, "debug=profile", f"hydra.run.dir={run_dir}")
    assert outcome.code == 0, outcome.err
    assert "training_step" in (run_dir / "fit-profile.txt").read_text()
    assert (run_dir / "summary.json").exists()


@pytest.mark.long
def test_profile_writes_the_operations_of_torch_if_asked_to(tiny, tmp_path, warm_start):
    target = "trainer.profiler._target_=lightning.pytorch.profilers.PyTorchProfiler"
    # In a process of its own: Lightning warns that so short a run is no good sample.
    done = warm_start.command("train", tmp_path, *tiny, "debug=profile", target, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert "aten::" in (tmp_path / "run" / "fit-profile.txt").read_text()
    traces = list((tmp_path / "run").glob("*.pt.trace.json"))
    assert traces
    assert all("traceEvents" in json.loads(path.read_text()) for path in traces)


def test_an_unknown_key_of_a_profiler_is_refused(composed, tiny):
    from imageclf import InputError

    cfg = composed(*tiny, "debug=profile", "+trainer.profiler.filenam=x")
    with pytest.raises(InputError, match=r"did you mean trainer\.profiler\.filename"):
        check(to_plain(cfg), RunConfig)
