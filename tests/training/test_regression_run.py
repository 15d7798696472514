"""A real run that predicts two numbers of each picture, from its CSV to what is predicted with it."""

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from measured import REGRESSION, make_measured
from omegaconf import OmegaConf
from predicting import predict_options
from scipy import stats
from sklearn import metrics
from small_runs import LESSON, SMALL, chosen, composed, phases, train_small

import imageclf
from imageclf import InputError
from imageclf.analysis.folds import fold_summary, out_of_fold
from imageclf.commands.collect import CollectOptions, collect
from imageclf.commands.export import ExportOptions, export
from imageclf.commands.predict import predict_pictures
from imageclf.report.run_page import write_report
from imageclf.training.parts.metrics import check_scores
from imageclf.training.run_config import RunConfig, parse

NUMBERS = ["hue", "size"]
FEATURES = ["model.mixing.mixup=0.4", "callbacks.ema.decay=0.9", "data.oversample=weighted"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return make_measured(tmp_path_factory.mktemp("measured"), 60, side=32).parent


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, pictures) -> Path:
    """Train with cached features, mixed pictures, snapshots, an average, views and pictures to predict."""
    more = ["data.test=images", "analysis.submission=probabilities"]
    return train_small(
        tmp_path_factory.mktemp("regression"), pictures, *REGRESSION, *LESSON, *FEATURES, *more
    )


@pytest.fixture(scope="module")
def summary(run_dir):
    return json.loads((run_dir / "summary.json").read_text())


@pytest.fixture(scope="module")
def valid(run_dir):
    return pd.read_csv(run_dir / "predictions/valid.csv")


@pytest.fixture(scope="module")
def given(pictures):
    return pd.read_csv(pictures / "numbers.csv").set_index("image")


def truth_of(table, given):
    return given.loc[table["path"].map(lambda path: Path(path).name), NUMBERS].to_numpy()


def test_mean_and_spread_are_those_of_the_training_pictures(run_dir, summary, given):
    split = pd.read_csv(run_dir / "split.csv", keep_default_na=False)
    numbers = truth_of(split[split["split"] == "train"], given)
    assert summary["classes"] == NUMBERS
    assert summary["target_mean"] == pytest.approx(numbers.mean(axis=0), rel=1e-6)
    assert summary["target_spread"] == pytest.approx(numbers.std(axis=0), rel=1e-6)


def test_predictions_have_the_true_numbers_beside_those_in_the_same_unit(valid, given):
    written = valid["label"].str.split("|", expand=True).astype(float).to_numpy()
    np.testing.assert_array_equal(written, truth_of(valid, given))
    predicted = valid["prediction"].str.split("|", expand=True).astype(float).to_numpy()
    np.testing.assert_allclose(predicted, valid[NUMBERS])


def test_the_scores_of_the_reported_model_are_scikit_learns(summary, valid, given):
    truth, found = truth_of(valid, given), valid[NUMBERS].to_numpy()
    ranks = [stats.spearmanr(*pair).statistic for pair in zip(truth.T, found.T, strict=True)]
    expected = {
        "model/mae": metrics.mean_absolute_error(truth, found),
        "model/rmse": metrics.root_mean_squared_error(truth, found),
        "model/r2": metrics.r2_score(truth, found),
        "model/spearman": np.mean(ranks),
    }
    assert {name: summary[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_the_loss_is_the_squared_error_in_units_of_the_variance_in_training(summary, valid, given):
    errors = (valid[NUMBERS].to_numpy() - truth_of(valid, given)) / summary["target_spread"]
    assert summary["model/loss"] == pytest.approx((errors**2).mean(), rel=1e-5)


def test_the_candidate_with_the_lowest_loss_is_reported(run_dir, summary):
    candidates = json.loads((run_dir / "snapshots/candidates.json").read_text())["candidates"]
    assert {"final", "head-0", "finetune-1", "average", "soup", "ensemble", "ema"} <= set(candidates)
    best = min(candidates, key=lambda name: candidates[name]["loss"])
    assert candidates[summary["model"]]["loss"] == candidates[best]["loss"] == summary["val/loss_best"]


def test_nothing_of_the_run_has_an_accuracy(run_dir, summary):
    columns = pd.read_csv(run_dir / "metrics.csv").columns
    assert not [name for name in [*summary, *columns] if "/acc" in name]
    assert {"val/loss_tta", "val/r2", "val/mae"} <= set(columns)


def test_a_submission_has_a_column_of_each_number(run_dir):
    filled, predicted = (pd.read_csv(run_dir / name) for name in ("submission.csv", "predictions/test.csv"))
    assert list(filled.columns) == ["id", *NUMBERS]
    np.testing.assert_allclose(filled[NUMBERS], predicted[NUMBERS])


def test_imageclf_predict_gives_the_numbers_of_the_run(run_dir, pictures, tmp_path, valid):
    options = {"run": str(run_dir), "data": str(pictures / "images"), "output": str(tmp_path / "out.csv")}
    predicted = predict_pictures(predict_options(**options))
    by_path = predicted.table.set_index("path").loc[valid["path"]]
    np.testing.assert_allclose(by_path[NUMBERS], valid[NUMBERS], rtol=1e-5)
    assert predicted.summary["highest"].tolist() == predicted.table[NUMBERS].max().tolist()


def test_several_runs_average_numbers_in_the_unit_of_the_csv(run_dir, pictures, tmp_path):
    weights = {name: imageclf.load(run_dir, weights=name) for name in ("final", "head-0", "ensemble")}
    files = sorted((pictures / "images").iterdir())[:5]
    found = {name: run.predict(files).probabilities for name, run in weights.items()}
    snapshots = [
        imageclf.load(run_dir, weights=f"finetune-{cycle}").predict(files).probabilities for cycle in "01"
    ]
    np.testing.assert_allclose(found["ensemble"], np.mean([found["head-0"], *snapshots], axis=0), rtol=1e-5)


def test_a_run_of_a_single_number_can_be_predicted_with(pictures, given, tmp_path):
    phase = phases(head={"lr": 1e-2, "unfreeze_to": "head"})
    train_small(tmp_path, pictures, *REGRESSION, *phase, "data.label_column=size")
    valid = pd.read_csv(tmp_path / "predictions/valid.csv")
    files = [pictures / "images" / Path(path).name for path in valid["path"]]
    found = imageclf.load(tmp_path).predict(files).probabilities
    np.testing.assert_allclose(found, valid[["size"]], rtol=1e-5)


def test_the_same_pictures_may_be_predicted_again(run_dir, pictures, tmp_path):
    options = {"run": str(run_dir), "data": str(pictures / "images"), "output": str(tmp_path / "out.csv")}
    first, again = (predict_pictures(predict_options(**options)).table for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_python_has_the_validation_pictures_with_their_true_numbers(run_dir, valid):
    validation = imageclf.load(run_dir).validation
    assert validation.truth == valid["label"].tolist()
    np.testing.assert_array_equal(validation.probabilities, valid[NUMBERS])


@pytest.fixture(scope="module")
def report(run_dir):
    """Return the text of each section of the report."""
    page = write_report(run_dir).read_text()
    sections = re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]*>", " ", text).split()) for name, text in sections}


def test_the_report_has_numbers_in_place_of_a_confusion(report):
    assert {"result", "numbers", "training"} <= set(report)
    assert not {"mistakes", "confusion", "classes", "calibration"} & set(report)


def test_the_report_has_the_scores_of_each_number(report, valid, given):
    truth, found = truth_of(valid, given), valid[NUMBERS].to_numpy()
    for place, name in enumerate(NUMBERS):
        pair = truth[:, place], found[:, place]
        errors = metrics.mean_absolute_error(*pair), metrics.root_mean_squared_error(*pair)
        shares = metrics.r2_score(*pair), stats.spearmanr(*pair).statistic
        words = " ".join([*(f"{each:.4g}" for each in errors), *(f"{each:.3f}" for each in shares)])
        assert f"{name} {words}" in report["numbers"]


def test_the_report_shows_the_largest_error_first(report, valid, given):
    truth = truth_of(valid, given)
    errors = np.abs(valid[NUMBERS].to_numpy() - truth) / truth.std(axis=0)
    worst = errors.max(axis=1).argmax()
    hue, size = valid[NUMBERS].iloc[worst]
    words = f"hue {hue:.4g} truth {truth[worst, 0]:.4g} size {size:.4g} truth {truth[worst, 1]:.4g}"
    assert report["numbers"].partition("Largest errors")[2].index(words) < 300


def test_of_a_picture_the_report_may_cut_a_name_but_no_number(report, run_dir):
    # The first word of a line is cut where there is no room for it; see run_page.css.
    first = re.findall(r'<span class="said"><\w+[^>]*>([^<]*)<', (run_dir / "report.html").read_text())
    assert set(first) == {"hue", "truth", "size"}


@pytest.mark.long
def test_an_onnx_file_gives_numbers_in_the_unit_of_the_csv(run_dir, summary, pictures, tmp_path):
    folder = export(ExportOptions(str(run_dir), "onnx", "ensemble", "uint8", str(tmp_path)))
    carried = {each.key: json.loads(each.value) for each in onnx.load(folder / "model.onnx").metadata_props}
    assert (carried["task"], carried["target_spread"]) == ("regression", summary["target_spread"])
    assert "Output\n`numbers`: `[B, 2]`" in (folder / "README.md").read_text()
    file = pictures / "images/0.png"
    prepare = runpy.run_path(str(folder / "prepare.py"))["prepare"]
    pixels = prepare(str(file), **carried["prepare"]).transpose(2, 0, 1)[None]
    (found,) = onnxruntime.InferenceSession(folder / "model.onnx").run(["numbers"], {"pictures": pixels})
    expected = imageclf.load(run_dir, weights="ensemble").predict([file]).probabilities
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.long
def test_the_readme_of_a_timm_folder_gives_numbers_in_the_unit_of_the_csv(run_dir, pictures, tmp_path):
    folder = export(ExportOptions(str(run_dir), "timm", "final", "uint8", str(tmp_path / "timm")))
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    (folder / "predict.py").write_text(code)
    file = pictures / "images/0.png"
    said = subprocess.run(
        [sys.executable, "predict.py", str(file)], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    expected = imageclf.load(run_dir, weights="final").predict([file]).probabilities[0]
    assert [float(each) for each in re.findall(r": ([-\d.]+)", said)] == pytest.approx(expected, rel=1e-4)


@pytest.mark.long
def test_folds_are_joined_and_scored_together(pictures, given, tmp_path):
    folds = ["data.folds=2", "callbacks.tta.when=end", *phases(head={"lr": 1e-2, "unfreeze_to": "head"})]
    for fold in (0, 1):
        train_small(tmp_path / str(fold), pictures, *REGRESSION, *folds, f"data.fold={fold}")
    (found,) = collect(CollectOptions(str(tmp_path), None, None)).folds
    joined = out_of_fold(found)
    truth, numbers = truth_of(joined, given), joined[NUMBERS].to_numpy()
    assert len(joined) == len(given)
    expected = {
        "oof/r2": metrics.r2_score(truth, numbers),
        "oof/mae": metrics.mean_absolute_error(truth, numbers),
        "oof/rmse": metrics.root_mean_squared_error(truth, numbers),
    }
    assert {name: fold_summary(found)[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_what_does_not_know_numbers_says_so(run_dir, tmp_path):
    with pytest.raises(InputError, match="format=web does not know task=regression"):
        export(ExportOptions(str(run_dir), "web", "final", "uint8", str(tmp_path)))
    with pytest.raises(InputError, match=r"Run\.most_wrong does not know task=regression"):
        imageclf.load(run_dir).most_wrong()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model/loss=cross_entropy", r"model\.loss: CrossEntropyLoss .* model/loss=mse, l1 or huber"),
        ("model.mixing.cutmix=1", r"model\.mixing\.cutmix=1: .* give model\.mixing\.mixup"),
        ("data.label_column=image", r"data\.label_column"),
    ],
)
def test_what_makes_no_sense_for_numbers_is_refused(override, words, pictures, tmp_path):
    with pytest.raises(InputError, match=words):
        train_small(tmp_path, pictures, *REGRESSION, override)


def test_a_search_cannot_look_for_the_best_accuracy(tmp_path, pictures):
    typed = chosen([*SMALL, f"data.root={pictures}", *REGRESSION, "optimized_metric=val/acc"])
    config = parse(OmegaConf.to_container(composed(typed, tmp_path), resolve=True), RunConfig)
    with pytest.raises(InputError, match=r"optimized_metric=val/acc: give one of val/loss"):
        check_scores(config)


@pytest.mark.long
def test_the_command_of_the_page_trains(tmp_path, monkeypatch):
    make_measured(tmp_path / "measured", 30, side=32)
    page = (Path(__file__).parents[2] / "docs/regression.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"```bash\n(imageclf-train .*)\n```", page)
    sizes = [f"schedule.phases.{phase}.size=32" for phase in ("head", "finetune")]
    small = ["schedule=quick", *sizes, "callbacks.tta.num_augmented=1"]
    model = ["model.backbone=test_resnet", "model.weights=none"]
    monkeypatch.chdir(tmp_path)
    run_dir = train_small(tmp_path / "run", tmp_path / "measured", *shlex.split(command)[1:], *small, *model)
    assert json.loads((run_dir / "summary.json").read_text())["classes"] == ["size"]
