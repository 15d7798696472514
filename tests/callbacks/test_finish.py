"""What follows the last step needs the device, and so happens before the strategy lets go of the model."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from small_runs import THREE_PHASES, phases, train_small

Train = Callable[..., Path]
ON_META = "+callbacks.meta={_target_: probes.TeardownToMeta}"
STEPS_ON_META = "+callbacks.meta={_target_: probes.StepsOnMeta, steps: 4}"
EVERYTHING = [
    *THREE_PHASES,
    "callbacks.ema.decay=0.9",
    "callbacks.snapshots.refresh_bn=true",
    "callbacks.tta.keep_views=true",
    "callbacks.checkpoint.best=val/acc",
    "metrics=all",
]
TWO_RANKS = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
FILES = ["predictions/valid.csv", "predictions/test.csv", "snapshots/candidates.json", "snapshots/ema.ckpt"]


def with_test(dataset: Path) -> list[str]:
    return [f"data.root={dataset}", "data.train=train", "data.test=valid"]


def summary_of(run_dir: Path) -> dict[str, object]:
    return dict(json.loads((run_dir / "summary.json").read_text()))


@pytest.mark.sampled(6)
@pytest.mark.parametrize("ranks", [[], TWO_RANKS], ids=["one rank", "two ranks"])
@pytest.mark.parametrize("when", ["cycle", "end", "epoch"])
def test_nothing_needs_the_model_after_the_strategys_teardown(
    train: Train, dataset: Path, when: str, ranks: list[str]
) -> None:
    run_dir = train(*EVERYTHING, *ranks, *with_test(dataset), f"callbacks.tta.when={when}", ON_META)
    assert [name for name in FILES if not (run_dir / name).exists()] == []
    assert {"val/acc", "val/acc_tta", "val/acc_ensemble", "val/acc_ema", "test/acc"} <= set(
        summary_of(run_dir)
    )


def test_a_run_cut_before_its_summary_is_finished_while_the_strategy_is_up(
    train: Train, pictures: Path, dataset: Path
) -> None:
    typed = [*EVERYTHING, *with_test(dataset), ON_META]
    run_dir = train(*typed)
    before = summary_of(run_dir)
    for name in ("summary.json", *FILES):
        (run_dir / name).unlink()
    train_small(run_dir, pictures, *typed, "ckpt_path=auto")
    assert summary_of(run_dir) == before
    assert [name for name in FILES if not (run_dir / name).exists()] == []


def test_a_run_without_validation_is_finished_likewise(train: Train) -> None:
    run_dir = train(*phases(one={"lr": 1e-3, "unfreeze_to": 0}), "data.valid_pct=0", ON_META)
    assert summary_of(run_dir)["num_valid"] == 0


@pytest.mark.long
def test_a_finished_run_on_two_ranks_predicts_each_picture_once(train: Train) -> None:
    run_dir = train(*THREE_PHASES, *TWO_RANKS, ON_META)
    assert pd.read_csv(run_dir / "predictions/valid.csv")["id"].is_unique


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "more", [[], ["model.mixing.mixup=0.4", "callbacks.ema.decay=0.9", "trainer.gradient_clip_val=1"]]
)
def test_no_step_waits_for_the_device(train: Train, tmp_path: Path, more: list[str]) -> None:
    one = phases(one={"cycle_len": 3, "lr": 1e-3, "unfreeze_to": 0})
    with pytest.raises(RuntimeError, match="all steps are done"):
        train(*one, *more, STEPS_ON_META)
    assert (tmp_path / "run" / "steps").read_text() == "4"
