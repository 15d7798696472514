"""One model in every file of a run: the best candidate, or the final weights where they are asked for."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from predicting import predict_options
from small_runs import phases, train_small

from imageclf.analysis.scores import wilson_interval
from imageclf.commands.predict import predict_pictures
from imageclf.data import ImageData
from imageclf.report.reported import model_sentence
from imageclf.report.run_files import read_candidates

Train = Callable[..., Path]
CLASSES = ["blue", "green", "red"]
# With this seed the ensemble of the three cycles is better than the last of them.
CYCLES = [*phases(one={"n_cycles": 3, "lr": 3e-2, "unfreeze_to": 0}), "seed=3"]
TWO_RANKS = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
BEST = "+callbacks.report={_target_: imageclf.callbacks.Report, model: best}"
FINAL = BEST.replace("best", "final")
FILES = ["predictions/valid.csv", "predictions/test.csv", "snapshots/candidates.json", "summary.json"]


def summary_of(run_dir: Path) -> dict[str, Any]:
    return dict(json.loads((run_dir / "summary.json").read_text()))


def listed(run_dir: Path) -> dict[str, Any]:
    return dict(json.loads((run_dir / "snapshots/candidates.json").read_text()))


def predicted(run_dir: Path, split: str = "valid") -> pd.DataFrame:
    """Return what a run has predicted of a split, by path."""
    return pd.read_csv(run_dir / f"predictions/{split}.csv").set_index("path")[CLASSES]


def predict(run_dir: Path, folder: Path, weights: str, output: Path) -> pd.DataFrame:
    """Return what the command predicts of a folder, by path."""
    chosen = predict_options(run=str(run_dir), data=str(folder), weights=weights, output=str(output))
    predict_pictures(chosen)
    return pd.read_csv(output).set_index("path")[CLASSES]


def with_folders(dataset: Path) -> list[str]:
    """Return overrides that hold out half of one folder, and test on the other."""
    return [f"data.root={dataset}", "data.train=train", "data.valid_pct=0.5", "data.test=valid"]


@pytest.fixture(
    scope="module",
    params=[[], pytest.param(TWO_RANKS, marks=pytest.mark.long)],
    ids=["one rank", "two ranks"],
)
def typed(request: pytest.FixtureRequest, dataset: Path) -> list[str]:
    """Return the overrides of a run, on one rank or two."""
    return [*CYCLES, *with_folders(dataset), BEST, *request.param]


@pytest.fixture(scope="module")
def best(typed: list[str], tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """A run that reports the best of its candidates."""
    return train_small(tmp_path_factory.mktemp("best"), dataset, *typed)


@pytest.fixture(scope="module")
def final(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """The same run with the final weights reported."""
    return train_small(tmp_path_factory.mktemp("final"), dataset, *CYCLES, *with_folders(dataset), FINAL)


def test_the_reported_model_is_the_best(best: Path) -> None:
    assert summary_of(best)["model"] == summary_of(best)["best"] == listed(best)["reported"]
    assert summary_of(best)["model/acc"] == summary_of(best)["val/acc_best"]


@pytest.mark.parametrize("weights", ["best", "NAME"])
@pytest.mark.parametrize("split", ["valid", "test"])
def test_predictions_of_a_run_are_those_of_the_command_with_its_model(
    best: Path, dataset: Path, tmp_path: Path, split: str, weights: str
) -> None:
    name = weights.replace("NAME", summary_of(best)["model"])
    again = predict(best, dataset, name, tmp_path / "again.csv")
    np.testing.assert_allclose(predicted(best, split), again.loc[predicted(best, split).index], atol=1e-4)


def test_where_the_final_weights_are_asked_for_they_make_every_prediction(
    final: Path, dataset: Path, tmp_path: Path
) -> None:
    assert summary_of(final)["model"] == listed(final)["reported"] == "final"
    assert summary_of(final)["model/acc"] == summary_of(final)["val/acc"]
    last, default = (predict(final, dataset, name, tmp_path / f"{name}.csv") for name in ("final", "best"))
    for frame in (predicted(final), predicted(final, "test"), default):
        np.testing.assert_allclose(frame, last.loc[frame.index], atol=1e-4)


def test_the_best_is_scored_on_pictures_that_did_not_choose_it_too(best: Path) -> None:
    names = ("acc_best_crossfit_low", "acc_best_crossfit", "acc_best_crossfit_high")
    low, accuracy, high = (summary_of(best)[f"val/{name}"] for name in names)
    # All of twelve may be right, which is the upper end of their interval as well.
    assert low < accuracy <= high
    assert accuracy <= summary_of(best)["val/acc_best"]


def test_what_is_reported_changes_no_other_score(final: Path) -> None:
    assert summary_of(final)["best"] == listed(final)["best"] == "ensemble"
    assert summary_of(final)["val/acc_best"] > summary_of(final)["val/acc"]


def test_the_interval_is_that_of_the_pictures_that_were_predicted(best: Path) -> None:
    summary = summary_of(best)
    right = round(summary["model/acc"] * 12)
    assert summary["model/pictures"] == 12
    assert (summary["model/acc_low"], summary["model/acc_high"]) == wilson_interval(right, 12)


def test_the_log_says_which_model_it_is_how_good_and_how_it_was_chosen(
    train: Train, dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        summary = summary_of(train(*CYCLES, *with_folders(dataset), BEST))
    assert summary["model"] == "ensemble"
    right, model = round(summary["model/acc"] * 12), "the ensemble of one-0, one-1 and one-2"
    assert f"The reported model is {model}: {right} of 12 validation pictures right (" in caplog.text
    assert f"%). It was chosen for its {100 * right / 12:.1f} % on these very pictures; chosen" in caplog.text


def test_by_default_the_final_weights_are_reported_where_no_other_candidate_is_clearly_better(
    train: Train, dataset: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run_dir = train(*CYCLES, *with_folders(dataset))
    summary = summary_of(run_dir)
    assert (summary["best"], summary["model"], listed(run_dir)["reported"]) == ("ensemble", "final", "final")
    assert summary["model/acc"] == summary["val/acc"]
    best, expected = (f"{100 * summary[f'val/acc_{name}']:.1f} %" for name in ("best", "best_crossfit"))
    assert (
        f"No other candidate is clearly better on these pictures: the best, ensemble, gets {best} right. "
        f"Chosen by one half of them and scored by the other, the model gets {expected} right ("
    ) in caplog.text


def test_final_weights_that_were_asked_for_were_not_chosen(final: Path) -> None:
    sentence = model_sentence(summary_of(final), read_candidates(final))
    assert sentence.startswith("The reported model is the final weights: ")
    assert "chosen" not in sentence


def test_without_validation_the_final_weights_are_reported_without_a_score(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run_dir = train(*CYCLES, "data.valid_pct=0")
    assert summary_of(run_dir)["model"] == "final"
    assert not [name for name in summary_of(run_dir) if name.startswith("model/")]
    assert "The reported model is the final weights. No pictures were held out" in caplog.text


def test_without_snapshots_the_final_weights_are_reported(train: Train) -> None:
    run_dir = train(*CYCLES, "~callbacks.snapshots")
    summary = summary_of(run_dir)
    assert summary["model"] == "final"
    assert summary["model/acc"] == summary["val/acc"]


def test_no_candidate_is_validated_again_to_be_reported(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    requests = ImageData.evaluation_requests

    def counted(self: ImageData, split: Any, *more: Any) -> Any:
        asked.append(split)
        return requests(self, split, *more)

    monkeypatch.setattr(ImageData, "evaluation_requests", counted)
    train(*CYCLES, "~callbacks.tta", "~callbacks.fit_verdict")
    # Three epochs, their snapshots, the average, and two attempts to improve the soup.
    assert asked == ["valid"] * (3 + 3 + 1 + 2)


def test_a_run_cut_before_its_summary_reports_the_same(best: Path, typed: list[str], dataset: Path) -> None:
    before = {name: (best / name).read_bytes() for name in FILES}
    for name in FILES:
        (best / name).unlink()
    train_small(best, dataset, *typed, "ckpt_path=auto")
    assert {name: (best / name).read_bytes() for name in FILES} == before
