"""Test-time augmentation in real fits: what is looked at, written down and reported."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_runs import phases

from imageclf import InputError
from imageclf.callbacks import tta
from imageclf.callbacks.tta import TTA
from imageclf.evaluation import predicting as evaluation
from imageclf.evaluation.tta_presets import view_numbers, view_weights
from imageclf.schedule import Phase, RunState, Schedule

Train = Callable[..., Path]
ONE = phases(one={"cycle_len": 2, "lr": 1e-2, "unfreeze_to": 0})
CLASSES = ["blue", "green", "red"]


def tta_run(train: Train, preset: str, *more: str) -> tuple[Path, dict[str, Any], pd.DataFrame]:
    """Train with the views of a preset, kept; return the run, its summary and its plain predictions."""
    run_dir = train(
        *ONE, "data.resize=crop", f"callbacks.tta.views={preset}", "callbacks.tta.keep_views=true", *more
    )
    predictions = pd.read_csv(run_dir / "predictions/valid.csv", dtype={"id": str})
    return run_dir, json.loads((run_dir / "summary.json").read_text()), predictions


@pytest.mark.sampled(3)
@pytest.mark.parametrize("preset", ["fastai07", "fastai2", "fastai1", "five_crops"])
def test_the_scores_follow_from_the_views_that_are_kept(train: Train, preset: str) -> None:
    run_dir, summary, predictions = tta_run(train, preset)
    kept = np.load(run_dir / "predictions/valid_views.npz")
    assert tuple(kept["views"]) == view_numbers(preset, 4)
    np.testing.assert_allclose(kept["weights"], view_weights(preset, 4, None))
    split = pd.read_csv(run_dir / "split.csv", dtype=str)
    assert list(kept["rows"]) == list(split.index[split.split == "valid"])
    assert list(kept["ids"]) == list(predictions["id"])
    np.testing.assert_allclose(kept["probabilities"][:, 0], predictions[CLASSES], atol=1e-6)
    mean = np.einsum("v,nvc->nc", kept["weights"], kept["probabilities"].astype(float))
    truth = predictions["label"].map(CLASSES.index).to_numpy()
    accuracy = (mean.argmax(1) == truth).mean()
    assert summary["val/acc_tta"] == pytest.approx(accuracy, abs=1e-12)
    assert summary["val/loss_tta"] == pytest.approx(-np.log(mean[range(len(truth)), truth]).mean(), rel=1e-9)
    assert summary["val/acc_tta_gain"] == pytest.approx(accuracy - summary["val/acc"], abs=1e-12)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("preset", "num_views"), [("fastai1", 9), ("five_crops", 10)])
@pytest.mark.parametrize("resize", ["squish", "pad"])
def test_the_views_of_a_picture_differ(train: Train, preset: str, num_views: int, resize: str) -> None:
    run_dir, _, _ = tta_run(train, preset, f"data.resize={resize}")
    probabilities = np.load(run_dir / "predictions/valid_views.npz")["probabilities"]
    assert probabilities.shape == (7, num_views, 3)
    assert all(len(np.unique(picture, axis=0)) == num_views for picture in probabilities)


def test_the_gain_is_in_the_metrics_and_in_the_log(train: Train, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run_dir, summary, _ = tta_run(train, "fastai07")
    gain = summary["val/acc_tta_gain"]
    metrics = pd.read_csv(run_dir / "metrics.csv")
    assert np.isnan(metrics["val/acc_tta_gain"][0])
    assert metrics["val/acc_tta_gain"][1] == pytest.approx(gain)
    assert f"tta: 5 views, val/acc {summary['val/acc_tta']:.4f}, gain {gain:+.4f}" in caplog.text
    words = f"accuracy {100 * summary['val/acc_tta']:.1f} % ({100 * gain:+.1f} points)"
    assert f"with test-time augmentation: loss {summary['val/loss_tta']:.4f}, {words}" in caplog.text


def test_beta_one_is_plain_validation(train: Train) -> None:
    _, summary, _ = tta_run(train, "five_crops", "callbacks.tta.beta=1")
    assert summary["val/acc_tta_gain"] == 0
    assert summary["val/loss_tta"] == summary["val/loss"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("when", ["cycle", "end", "epoch"])
def test_the_plain_view_is_predicted_by_validation_alone(
    train: Train, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    looked: list[tuple[int, ...]] = []
    predict = evaluation.predict

    def spy(*given: Any, **more: Any) -> Any:
        looked.append(given[5])
        return predict(*given, **more)

    monkeypatch.setattr(tta, "predict", spy)
    monkeypatch.setattr(evaluation, "predict", spy)
    train(*ONE, f"callbacks.tta.when={when}", "callbacks.tta.num_augmented=2", "~callbacks.fit_verdict")
    assert looked == [(1, 2)] * (2 if when == "epoch" else 1)


def test_views_are_not_written_unasked(train: Train) -> None:
    assert not (train(*ONE) / "predictions/valid_views.npz").exists()


@pytest.mark.parametrize(
    ("num_augmented", "beta", "key"),
    [(-1, None, "callbacks.tta.num_augmented=-1"), (4, 2.0, "callbacks.tta.beta=2.0")],
)
def test_a_number_out_of_range_is_named_by_its_key(
    tmp_path: Path, num_augmented: int, beta: float | None, key: str
) -> None:
    with pytest.raises(InputError) as refused:
        schedule = Schedule({"one": Phase(lr=1e-3)})
        TTA(schedule, RunState(), tmp_path, "fastai2", num_augmented, beta, "cycle", False)
    assert str(refused.value).startswith(f"{key}: give")
