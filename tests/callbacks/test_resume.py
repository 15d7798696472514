"""A run that is killed goes on; that it does so bit for bit is in test_resume_cases.py."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from probes import digest, lines
from processes import wait_until
from small_runs import RECORDER, SMALL, THREE_PHASES, composed, train_small

from imageclf import InputError
from imageclf.callbacks.checkpoint import newest_whole, safe_point
from imageclf.configs import load_config
from imageclf.model.weights.files import is_whole, save_tensors
from imageclf.system.files import rotate, write_atomically
from imageclf.training.directory import prepare
from imageclf.training.door import run

Train = Callable[..., Path]
EVERY_BATCH = "callbacks.checkpoint.every_n_batches=1"
STOP_AT = "+callbacks.stop={{_target_: probes.StopAt, epoch: {}, batch: {}}}"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The run that nothing happened to."""
    return train_small(tmp_path_factory.mktemp("undisturbed"), pictures, *THREE_PHASES, RECORDER, EVERY_BATCH)


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A run that keeps its best epoch, was stopped inside an epoch, and went on by another metric."""
    run_dir = tmp_path_factory.mktemp("gone-on")
    stopped = [*THREE_PHASES, EVERY_BATCH, "callbacks.checkpoint.best=val/acc", STOP_AT.format(4, 3)]
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(run_dir, pictures, *stopped)
    return train_small(run_dir, pictures, *stopped, "ckpt_path=auto", "optimized_metric=val/loss")


def final_weights(run_dir: Path) -> str:
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])


def curve(run_dir: Path) -> pd.DataFrame:
    return pd.read_csv(run_dir / "metrics.csv").drop(columns="seconds")


@pytest.mark.long
def test_no_batch_is_trained_twice_or_left_out_after_a_stop(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    stopped = [*THREE_PHASES, RECORDER, EVERY_BATCH, STOP_AT.format(2, 3)]
    with pytest.raises(RuntimeError):
        train_small(tmp_path, pictures, *stopped)
    train_small(tmp_path, pictures, *stopped, "ckpt_path=auto")
    seen, expected = (
        [(row["epoch"], row["batch"]) for row in lines(d, "batch")] for d in (tmp_path, undisturbed)
    )
    # The probe's last line before the stop is of the batch after which it stopped.
    assert seen == expected


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("saves", "stop"),
    [(EVERY_BATCH, (2, 3)), (EVERY_BATCH, (3, 0)), ("callbacks.checkpoint.every_n_batches=null", (2, 1))],
    ids=["inside an epoch", "first batch of an epoch", "after a phase's end"],
)
def test_the_state_of_a_users_own_callback_goes_on_where_its_run_does(
    pictures: Path, tmp_path: Path, saves: str, stop: tuple[int, int]
) -> None:
    tallied = [*THREE_PHASES, saves, "+callbacks.tally={_target_: probes.Tally}"]
    undisturbed = train_small(tmp_path / "undisturbed", pictures, *tallied)
    stopped = [*tallied, STOP_AT.format(*stop)]
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path / "stopped", pictures, *stopped)
    train_small(tmp_path / "stopped", pictures, *stopped, "ckpt_path=auto")
    states = [json.loads((tmp_path / name / "tally.json").read_text()) for name in ("stopped", "undisturbed")]
    assert states[1]["batches"] == len(pd.read_csv(undisturbed / "plan.csv"))
    assert states[0] == states[1]


@pytest.mark.fault("Going on", "`last.ckpt` is damaged", "The one before it is taken, with a warning")
def test_a_damaged_last_checkpoint_is_passed_over_with_a_warning(
    undisturbed: Path, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped = [*THREE_PHASES, RECORDER, EVERY_BATCH, STOP_AT.format(3, 2)]
    with pytest.raises(RuntimeError):
        train_small(tmp_path, pictures, *stopped)
    last = tmp_path / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    with caplog.at_level(logging.WARNING):
        train_small(tmp_path, pictures, *stopped, "ckpt_path=auto")
    assert "last.ckpt is damaged" in caplog.text
    assert final_weights(tmp_path) == final_weights(undisturbed)


def test_what_follows_the_fit_can_be_run_again(undisturbed: Path, pictures: Path, tmp_path: Path) -> None:
    run_dir = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    before = json.loads((run_dir / "summary.json").read_text())
    (run_dir / "summary.json").unlink()
    train_small(run_dir, pictures, *THREE_PHASES, RECORDER, EVERY_BATCH, "ckpt_path=auto")
    after = json.loads((run_dir / "summary.json").read_text())
    assert after == before


@pytest.mark.fault("Going on", "A finished run is started again", "It is left alone")
def test_a_finished_run_is_left_alone(undisturbed: Path, pictures: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")}
    train_small(undisturbed, pictures, *THREE_PHASES, RECORDER, EVERY_BATCH, "ckpt_path=auto")
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")} == before


def test_the_door_needs_nothing_but_the_run_directory(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    typed = [*SMALL, f"data.root={pictures}", *THREE_PHASES, RECORDER, EVERY_BATCH]
    prepare(composed(typed, tmp_path), tmp_path, typed)
    run(tmp_path)
    assert final_weights(tmp_path) == final_weights(undisturbed)


@pytest.mark.long
@pytest.mark.fault(
    "Kills, signals and disks",
    "SIGKILL inside an epoch",
    "The run goes on from its last save to the same weights",
)
def test_killed_by_sigkill_inside_an_epoch_it_ends_with_the_same_weights(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    hold = "+callbacks.hold={_target_: cluster_probes.WaitForSignal, epoch: 2, batch: 3}"
    typed = [*SMALL, f"data.root={pictures}", *THREE_PHASES, RECORDER, EVERY_BATCH, hold]
    prepare(composed(typed, tmp_path), tmp_path, typed)
    path = os.pathsep.join([str(Path(__file__).parents[1] / "support"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    victim = subprocess.Popen(
        [sys.executable, "-m", "imageclf.worker", str(tmp_path), "trust=probes,cluster_probes"],
        env=environment,
    )
    wait_until((tmp_path / "held").exists, "the run never began its third epoch", 120)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    assert newest_whole(tmp_path / "checkpoints") is not None
    run(tmp_path)
    assert final_weights(tmp_path) == final_weights(undisturbed)
    pd.testing.assert_frame_equal(curve(tmp_path), curve(undisturbed), check_exact=True)


@pytest.mark.fault("Kills, signals and disks", "A write fails", "The old file stays")
def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "state.ckpt"
    save_tensors({"weight": torch.ones(3)}, path)

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, fail)
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.ones(3))
    assert [file.name for file in tmp_path.iterdir()] == ["state.ckpt"]


def test_rotating_keeps_the_one_before(tmp_path: Path) -> None:
    for content in ("first", "second", "third"):
        (tmp_path / "new").write_text(content)
        rotate(tmp_path / "new", tmp_path / "last", tmp_path / "previous")
    assert (tmp_path / "last").read_text() == "third"
    assert (tmp_path / "previous").read_text() == "second"


@pytest.mark.fault("Going on", "One bit of a checkpoint has flipped", "It counts as damaged")
def test_one_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "state.ckpt"
    save_tensors({"weight": torch.ones(1000)}, path)
    assert is_whole(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_whole(path)


def test_what_may_differ_is_taken_over_when_a_run_goes_on(gone_on: Path) -> None:
    assert load_config(gone_on / "config.yaml")["optimized_metric"] == "val/loss"


@pytest.mark.fault("Going on", "`ckpt_path` is a file of weights only", "It is refused, with what to give")
def test_weights_alone_are_no_state_to_start_from(undisturbed: Path, pictures: Path, tmp_path: Path) -> None:
    weights = undisturbed / "snapshots/final.ckpt"
    with pytest.raises(InputError) as refused:
        train_small(tmp_path, pictures, *THREE_PHASES, f"ckpt_path={weights}")
    assert str(refused.value).startswith(f"ckpt_path={weights} holds weights only")


def test_a_damaged_file_is_no_state_to_start_from(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "half.ckpt").write_bytes(b"half")
    with pytest.raises(InputError, match=r"half\.ckpt is damaged"):
        train_small(tmp_path / "run", pictures, *THREE_PHASES, f"ckpt_path={tmp_path / 'half.ckpt'}")


def test_the_best_epoch_is_kept_and_a_run_can_start_from_it(pictures: Path, tmp_path: Path) -> None:
    run_dir = train_small(tmp_path / "one", pictures, *THREE_PHASES, "callbacks.checkpoint.best=val/acc")
    best = torch.load(run_dir / "checkpoints/best.ckpt", weights_only=True)
    rows = pd.read_csv(run_dir / "metrics.csv")
    # Among equals the first.
    assert best["position"] == [int(rows["val/acc"].idxmax()) + 1, 0]
    again = train_small(
        tmp_path / "two", pictures, *THREE_PHASES, f"ckpt_path={run_dir / 'checkpoints/best.ckpt'}"
    )
    assert final_weights(again) == final_weights(run_dir)


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("metric", "given"),
    [
        ("ece", ["metrics=all", "data.valid_pct=0.4"]),
        ("doubt", ["+metrics.doubt={_target_: probes.Doubt, higher_is_better: false}"]),
    ],
)
def test_of_a_metric_of_which_less_is_better_the_lowest_epoch_is_kept(
    pictures: Path, tmp_path: Path, metric: str, given: list[str]
) -> None:
    best = f"callbacks.checkpoint.best=val/{metric}"
    run_dir = train_small(tmp_path, pictures, *THREE_PHASES, *given, best)
    kept = torch.load(run_dir / "checkpoints/best.ckpt", weights_only=True)
    scores = pd.read_csv(run_dir / "metrics.csv")[f"val/{metric}"]
    assert scores.idxmin() != scores.idxmax()
    assert kept["position"] == [int(scores.idxmin()) + 1, 0]


def test_a_run_says_that_no_epoch_had_the_score_whose_best_was_to_be_kept(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    none = ["data.valid_pct=0", "callbacks.checkpoint.best=val/acc"]
    with caplog.at_level(logging.WARNING):
        run_dir = train_small(tmp_path, pictures, *THREE_PHASES, *none)
    assert "callbacks.checkpoint.best=val/acc: no epoch had this score" in caplog.text
    assert not (run_dir / "checkpoints/best.ckpt").exists()


def test_the_best_score_survives_a_stop(gone_on: Path) -> None:
    rows = pd.read_csv(gone_on / "metrics.csv")
    best = torch.load(gone_on / "checkpoints/best.ckpt", weights_only=True)
    assert best["position"] == [int(rows["val/acc"].idxmax()) + 1, 0]


@pytest.mark.parametrize(
    ("batch", "accumulate", "position"),
    [(0, 1, (2, 1)), (4, 1, (2, 5)), (5, 1, None), (0, 2, None), (1, 2, (2, 2)), (5, 3, None)],
)
def test_a_safe_point_is_a_step_that_is_not_the_epochs_last(
    batch: int, accumulate: int, position: tuple[int, int] | None
) -> None:
    assert safe_point(2, batch, 6, accumulate) == position
