"""A real run with several labels of each picture, from its CSV to what is predicted with it."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from mosaics import MULTILABEL, make_mosaics
from PIL import Image
from predicting import predict_options
from sklearn import metrics
from small_runs import LESSON, phases, train_small
from web_page import shown

import imageclf
from imageclf import InputError
from imageclf.commands.collect import CollectOptions, collect, write_files
from imageclf.commands.export import ExportOptions, export
from imageclf.commands.predict import decided_by, predict_pictures
from imageclf.commands.web_export import write_page
from imageclf.report.run_page import write_report
from imageclf.tasks import Multilabel
from imageclf.tasks.label_sets import rarest
from imageclf.tasks.thresholds import best_threshold, best_thresholds, crossfitted_fbeta

CLASSES = ["birds", "food", "mammals", "objects", "plants", "vehicles"]
STRICT = [0.5, 0.7, 0.9, 0.95, 1.0, 0.4]
FEATURES = ["model.mixing.mixup=0.4", "callbacks.ema.decay=0.9", "model.class_weights=balanced"]


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory) -> Path:
    return make_mosaics(tmp_path_factory.mktemp("mosaics"), 60, side=16).parent


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, mosaics) -> Path:
    """Train with cached features, mixed pictures, snapshots, an average, views and pictures to predict."""
    more = ["data.test=images", "optimized_metric=val/f2", "data.oversample=weighted"]
    return train_small(tmp_path_factory.mktemp("multilabel"), mosaics, *MULTILABEL, *LESSON, *FEATURES, *more)


@pytest.fixture(scope="module")
def summary(run_dir):
    return json.loads((run_dir / "summary.json").read_text())


@pytest.fixture(scope="module")
def valid(run_dir):
    return pd.read_csv(run_dir / "predictions/valid.csv", keep_default_na=False)


def marks(texts):
    return np.array([[name in text.split("|") for name in CLASSES] for text in texts])


def test_the_labels_are_those_of_the_csv(mosaics, run_dir):
    split = pd.read_csv(run_dir / "split.csv", keep_default_na=False)
    given = pd.read_csv(mosaics / "labels.csv", keep_default_na=False)["tags"]
    labelled = split[split["split"] != "test"]
    assert labelled["label"].str.replace("|", " ").tolist() == given.tolist()


def test_every_candidate_is_scored_by_pictures_that_are_wholly_right(run_dir, summary, valid):
    candidates = json.loads((run_dir / "snapshots/candidates.json").read_text())["candidates"]
    assert {"final", "head-0", "finetune-1", "average", "soup", "ensemble", "ema"} <= set(candidates)
    expected = metrics.accuracy_score(marks(valid["label"]), valid[CLASSES] >= 0.5)
    assert summary["model/acc"] == pytest.approx(expected)


def test_the_scores_of_the_final_weights_are_scikit_learns(run_dir, mosaics, summary):
    predicted = imageclf.load(run_dir, weights="final").predict(mosaics / "images").to_pandas()
    table = predicted.assign(id=predicted["id"]).set_index(
        predicted["path"].map(lambda path: Path(path).name)
    )
    split = pd.read_csv(run_dir / "split.csv", keep_default_na=False)
    held_out = split[split["split"] == "valid"]
    truth = marks(held_out["label"])
    found = table.loc[held_out["path"].map(lambda path: Path(path).name), CLASSES].to_numpy()
    taken = found >= 0.5
    expected = {
        "val/f1": metrics.fbeta_score(truth, taken, beta=1, average="samples", zero_division=1),
        "val/f2": metrics.fbeta_score(truth, taken, beta=2, average="samples", zero_division=1),
        "val/f1_macro": metrics.fbeta_score(truth, taken, beta=1, average="macro"),
        "val/f2_macro": metrics.fbeta_score(truth, taken, beta=2, average="macro"),
        "val/map": metrics.average_precision_score(truth, found, average="macro"),
        "val/auroc": metrics.roc_auc_score(truth, found, average="macro"),
    }
    assert {name: summary[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_labels_are_predicted_from_the_tuned_thresholds_on(summary, valid):
    taken = valid[CLASSES].to_numpy() >= np.array(summary["thresholds"])
    assert (marks(valid["prediction"]) == taken).all()


def test_thresholds_are_tuned_on_held_out_pictures_alone(run_dir, summary, valid):
    truth, found = marks(valid["label"]), valid[CLASSES].to_numpy()
    for place, threshold in enumerate(summary["thresholds"]):
        best = max(metrics.f1_score(truth[:, place], found[:, place] >= cut) for cut in found[:, place])
        assert metrics.f1_score(truth[:, place], found[:, place] >= threshold) == pytest.approx(best)
    # A function of these predictions: the pictures in data.test have no part in it.
    pair = found.astype(np.float32), truth.astype(np.float32)
    assert summary["thresholds"] == list(best_thresholds(*pair, 1.0))
    honest = crossfitted_fbeta(*pair, 1.0, rarest(pair[1]))
    assert summary["model/f1_macro_crossfit"] == pytest.approx(honest)


@pytest.fixture(scope="module")
def folds(tmp_path_factory, mosaics):
    """Return a folder of two folds, each with pictures to predict, and what imageclf-collect wrote there."""
    root = tmp_path_factory.mktemp("folds")
    short = ["data.folds=2", "data.test=images", *phases(head={"lr": 1e-2, "unfreeze_to": "head"})]
    for fold in (0, 1):
        train_small(root / str(fold), mosaics, *MULTILABEL, *short, "task.beta=2", f"data.fold={fold}")
    write_files(collect(CollectOptions(str(root), None, None)), root)
    return root


@pytest.mark.long
def test_thresholds_of_folds_are_tuned_on_all_out_of_fold_predictions_and_on_nothing_else(folds):
    joined = pd.read_csv(folds / "oof.csv", keep_default_na=False)
    found, truth = joined[CLASSES].to_numpy(), marks(joined["label"])
    learned = json.loads((folds / "thresholds.json").read_text())
    assert len(joined) == 60
    expected = {"thresholds": list(best_thresholds(found, truth.astype(float), 2.0)), "classes": CLASSES}
    assert learned == {"task": "multilabel", **expected}


@pytest.mark.long
def test_folds_are_scored_together_with_thresholds_of_the_other_folds(folds):
    joined = pd.read_csv(folds / "oof.csv", keep_default_na=False)
    found, truth = joined[CLASSES].to_numpy(), marks(joined["label"])
    taken = np.zeros_like(truth)
    for fold in (0, 1):
        own = joined["path"].isin(pd.read_csv(folds / f"{fold}/predictions/valid.csv")["path"]).to_numpy()
        for place in range(len(CLASSES)):
            cut = best_threshold(found[~own, place], truth[~own, place].astype(float), 2.0)
            taken[own, place] = found[own, place] >= cut
    row = pd.read_csv(folds / "folds.csv").iloc[0]
    expected = {
        "oof/map": metrics.average_precision_score(truth, found),
        "oof/acc": metrics.accuracy_score(truth, found >= 0.5),
        "oof/f2_macro": metrics.fbeta_score(truth, found >= 0.5, beta=2, average="macro"),
        "oof/f2_macro_crossfit": metrics.fbeta_score(truth, taken, beta=2, average="macro"),
    }
    assert row[list(expected)].to_dict() == pytest.approx(expected, abs=1e-6)


@pytest.mark.long
def test_an_ensemble_of_folds_decides_by_their_common_thresholds(folds, mosaics, tmp_path):
    learned = folds / "thresholds.json"
    options = {"run": [str(folds / "0"), str(folds / "1")], "data": str(mosaics / "images/0.png")}
    predicted = predict_pictures(predict_options(**options, thresholds=str(learned)))
    assert predicted.files[-1].name == "0-thresholds-mean-of-2.csv"
    taken = predicted.table[CLASSES].to_numpy() >= json.loads(learned.read_text())["thresholds"]
    assert (marks(predicted.table["prediction"]) == taken).all()


def test_thresholds_that_are_nowhere_or_of_other_classes_are_refused(run_dir, mosaics, tmp_path):
    other = {"task": "multilabel", "thresholds": [0.5], "classes": ["birds"]}
    (tmp_path / "thresholds.json").write_text(json.dumps(other))
    options = {"run": str(run_dir), "data": str(mosaics / "images"), "output": str(tmp_path / "out.csv")}
    with pytest.raises(InputError, match="thresholds=nowhere: there is no such file"):
        predict_pictures(predict_options(**options, thresholds="nowhere"))
    with pytest.raises(InputError, match=r"thresholds\.json: it has no thresholds for the classes"):
        predict_pictures(predict_options(**options, thresholds=str(tmp_path / "thresholds.json")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"thresholds": [0.5, 0.5, 0.5, 0.5, 0.5, float("nan")]}, "is damaged"),
        ({"thresholds": [0.5]}, "is damaged"),
        ({"thresholds": [True] * 6}, "is damaged"),
        ({"threshold": 0.5}, "it has no thresholds"),
        ({"thresholds": [0.5] * 6, "task": "regression"}, "it has no thresholds"),
    ],
    ids=["NaN", "too few", "no numbers", "none", "another task"],
)
def test_a_file_of_thresholds_may_come_from_anyone(content, said, tmp_path):
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps({"task": "multilabel", "classes": CLASSES, **content}))
    with pytest.raises(InputError, match=rf"thresholds\.json:? {said}"):
        decided_by(str(path), Multilabel(), CLASSES)


@pytest.fixture
def strict(tmp_path):
    """Return a file of thresholds that few labels reach."""
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps({"task": "multilabel", "classes": CLASSES, "thresholds": STRICT}))
    return path


def test_python_decides_by_a_file_of_thresholds_too(run_dir, mosaics, strict):
    run = imageclf.load(run_dir)
    predicted = run.predict(mosaics / "images", thresholds=strict)
    assert (marks(predicted.labels) == (predicted.probabilities >= np.array(STRICT))).all()
    (said,) = run.predict(Image.open(predicted.paths[0]), thresholds=strict).labels
    assert said == predicted.labels[0]


def test_an_export_has_the_thresholds_of_a_file(run_dir, strict, tmp_path):
    out = str(tmp_path / "out")
    export(ExportOptions(str(run_dir), "timm", "final", "uint8", out, thresholds=str(strict)))
    assert json.loads((tmp_path / "out/config.json").read_text())["thresholds"] == STRICT


def test_imageclf_predict_decides_by_the_thresholds_of_the_run(run_dir, mosaics, summary, tmp_path, valid):
    options = {"run": str(run_dir), "data": str(mosaics / "images"), "output": str(tmp_path / "out.csv")}
    predicted = predict_pictures(predict_options(**options))
    taken = predicted.table[CLASSES].to_numpy() >= np.array(summary["thresholds"])
    assert (marks(predicted.table["prediction"]) == taken).all()
    assert predicted.summary["pictures"].sum() == taken.sum()
    by_path = predicted.table.set_index("path").loc[valid["path"]]
    np.testing.assert_allclose(by_path[CLASSES], valid[CLASSES], atol=1e-6)


def test_a_submission_has_the_separator_of_its_sample(run_dir, mosaics, tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("image_name,tags\n" + "".join(f"{number},birds food\n" for number in range(60)))
    options = {"run": str(run_dir), "data": str(mosaics / "images"), "output": str(tmp_path / "out.csv")}
    predicted = predict_pictures(predict_options(**options, sample=str(sample)))
    filled = pd.read_csv(tmp_path / "out-submission.csv", keep_default_na=False)
    order = predicted.table["path"].map(lambda path: int(Path(path).stem))
    expected = dict(zip(order, predicted.table["prediction"].str.replace("|", " "), strict=True))
    assert dict(zip(filled["image_name"], filled["tags"], strict=True)) == expected


@pytest.fixture(scope="module")
def report(run_dir):
    """Return the text of each section of the report."""
    page = write_report(run_dir).read_text()
    sections = re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]*>", " ", text).split()) for name, text in sections}


def test_the_report_has_labels_in_place_of_a_confusion(report):
    assert {"result", "mistakes", "labels", "training"} <= set(report)
    assert not {"confusion", "classes", "calibration"} & set(report)


def test_the_report_has_the_scores_of_each_label(report, summary, valid):
    truth, taken = marks(valid["label"]), marks(valid["prediction"])
    for place, name in enumerate(CLASSES):
        has, said = truth[:, place], taken[:, place]
        auroc = metrics.roc_auc_score(has, valid[name])
        scores = [
            metrics.precision_score(has, said),
            metrics.recall_score(has, said),
            metrics.f1_score(has, said),
        ]
        numbers = " ".join(f"{value:.2f}" for value in (*scores, auroc, summary["thresholds"][place]))
        mistakes = f"{(has & ~said).sum()} missed, {(said & ~has).sum()} invented"
        assert re.search(rf"{name} ({mistakes} )?{has.sum()} {numbers}", report["labels"]), name


def test_the_report_says_what_to_expect_of_the_thresholds_on_new_pictures(report, summary):
    honest = f"their mean F1 is {summary['model/f1_macro_crossfit']:.2f}, which is what to expect on new ones"
    assert honest in report["labels"]


def test_the_report_shows_what_was_missed_and_what_was_invented(report):
    assert re.search(r"Missed labels .* no \w+ [\d.]+ % truth: \w+", report["mistakes"])
    assert re.search(r"Invented labels .* truth: no \w+", report["mistakes"])


@pytest.fixture(scope="module")
def web(run_dir, tmp_path_factory):
    """Return a folder of format=web: what format=onnx writes, and a page."""
    return export(ExportOptions(str(run_dir), "web", "final", "uint8", str(tmp_path_factory.mktemp("web"))))


@pytest.mark.long
def test_a_page_says_each_label_that_reaches_its_threshold(web, mosaics, summary, runtime_package):
    write_page(web, "run", "network", json.loads((web / "config.json").read_text()), str(runtime_package))
    page = shown(web / "index.html", [mosaics / "images/0.png"], {})
    assert page.log == ""
    rows = re.findall(r'<tr class="(.*?)".*?<td>(\w+)</td>', page.html)
    found = dict(zip(CLASSES, page.found["0.png"], strict=True))
    expected = {
        name for name, least in zip(CLASSES, summary["thresholds"], strict=True) if found[name] >= least
    }
    assert {name for kind, name in rows if kind == "said"} == expected
    assert len(rows) == max(5, len(expected))


@pytest.mark.long
def test_an_onnx_file_gives_sigmoids_and_carries_the_thresholds(web, run_dir, summary):
    carried = {each.key: json.loads(each.value) for each in onnx.load(web / "model.onnx").metadata_props}
    assert (carried["task"], carried["thresholds"]) == ("multilabel", summary["thresholds"])
    pictures = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    (found,) = onnxruntime.InferenceSession(web / "model.onnx").run(None, {"pictures": pictures})
    model = imageclf.load(run_dir, weights="final").model
    expected = model(torch.from_numpy(pictures)).sigmoid().detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_most_wrong_pictures_are_those_with_the_surest_wrong_label_of_each_class_first(run_dir, valid):
    truth, taken, likely = marks(valid["label"]), marks(valid["prediction"]), valid[CLASSES].to_numpy()
    sure = np.where(truth != taken, np.where(taken, likely, 1 - likely), -1)
    worst = {int(sure[:, place].argmax()) for place in range(len(CLASSES)) if sure[:, place].max() >= 0}
    found = imageclf.load(run_dir).most_wrong(len(worst))
    assert set(found.ids) == set(valid["id"].iloc[sorted(worst)])


def test_an_analysis_counts_a_picture_for_each_of_its_labels(mosaics, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = imageclf.analyse(mosaics / "labels.csv", task="multilabel")
    given = pd.read_csv(mosaics / "labels.csv", keep_default_na=False)["tags"].str.get_dummies(" ")
    counts = found.classes.set_index("label")[["train", "valid"]].sum(axis=1)
    assert counts.to_dict() == given.sum().to_dict()
    page = " ".join(re.sub(r"<[^>]*>", " ", Path(found.page).read_text(encoding="utf-8")).split())
    labels = given.to_numpy().sum(axis=1)
    ((mean, blank),) = re.findall(r"Labels per picture ([\d.]+) (\d+) without any", page)
    assert float(mean) == pytest.approx(labels[labels > 0].mean(), abs=0.051)
    assert int(blank) == (labels == 0).sum()


def test_a_folder_of_classes_is_refused(pictures, tmp_path):
    with pytest.raises(InputError, match=r"a folder of each class cannot hold: give data=PATH.csv"):
        train_small(tmp_path, pictures, "task=multilabel")


def test_a_loss_of_one_class_is_refused(mosaics, tmp_path):
    with pytest.raises(InputError, match=r"model\.loss: CrossEntropyLoss takes each picture for one of the"):
        train_small(tmp_path, mosaics, *MULTILABEL, "model/loss=cross_entropy")


@pytest.mark.long
def test_the_command_of_the_page_trains(tmp_path, warm_start):
    make_mosaics(tmp_path / "mosaics", 30, side=16)
    page = (Path(__file__).parents[2] / "docs/multilabel.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"```bash\n(imageclf-train .*)\n```", page)
    sizes = [f"schedule.phases.{phase}.size=32" for phase in ("head", "finetune")]
    small = ["schedule=quick", *sizes, "data.size=32", "data.num_workers=0", "callbacks.tta.num_augmented=1"]
    model = ["model.backbone=test_resnet", "model.weights=none"]
    arguments = [*shlex.split(command)[1:], *small, *model]
    done = warm_start.command("train", tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    run_dir = tmp_path / done.stdout.splitlines()[-1]
    assert json.loads((run_dir / "summary.json").read_text())["classes"] == CLASSES
    assert "Missed labels" in (run_dir / "report.html").read_text(encoding="utf-8")
