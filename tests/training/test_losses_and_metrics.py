"""Losses, class weights and further metrics by config: real tiny fits, and what is refused."""

import json
import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from torch import nn

from imageclf import InputError
from imageclf.launch.start import score_of, train, train_composed
from imageclf.model import BinaryCrossEntropy, FocalLoss
from imageclf.training.build import build_parts
from imageclf.training.directory import prepare
from imageclf.training.parts.metrics import build_metrics, lower_is_better
from imageclf.training.parts.module import build_loss
from imageclf.training.parts.table import read_table

CLASSES = ["blue", "green", "red"]
KAPPA = "+metrics.kappa._target_=torchmetrics.classification.MulticlassCohenKappa"
OWN = f"+metrics.mine={{_target_: {__name__}.Constant}}"
NO_WEIGHT = "model.loss._target_=timm.loss.LabelSmoothingCrossEntropy"
TOP_FIVE = "+metrics.top={_target_: torchmetrics.classification.MulticlassAccuracy, top_k: 5}"
QUICK = ["~callbacks.report", "~callbacks.tta", "callbacks.checkpoint.every_n_batches=1"]
# The scores of the final weights follow from their own predictions.
REPORTS_FINAL = "+callbacks.report={_target_: imageclf.callbacks.Report, model: final}"
COUNTS = {"blue": 2, "green": 8, "red": 2}


class Constant:
    """The same for all: a user's own metric."""

    def __call__(self, probabilities, labels):
        return 0.5


@pytest.fixture(scope="module")
def scored(composed, tiny, tmp_path_factory):
    """Return a run with all metrics and one of the user's, and what its main returned."""
    run_dir = tmp_path_factory.mktemp("scored")
    more = ["metrics=all", KAPPA, "optimized_metric=val/f1_macro", "model/loss=bce", "logger=tensorboard"]
    folders = ["data.valid=null", "data.test=valid", f"logger.tensorboard.save_dir={run_dir}"]
    cfg = composed(*tiny, *QUICK, REPORTS_FINAL, *more, *folders)
    train_composed(cfg, run_dir, [])
    return run_dir, score_of(run_dir, cfg.optimized_metric)


@pytest.fixture(scope="module")
def summary(scored):
    return json.loads((scored[0] / "summary.json").read_text())


@pytest.fixture(scope="module")
def valid(scored):
    """Return labels and probabilities of the final weights."""
    table = pd.read_csv(scored[0] / "predictions" / "valid.csv")
    return table["label"].map(CLASSES.index).to_numpy(), table[CLASSES].to_numpy()


def test_the_summary_has_each_metric_of_the_final_weights(summary, valid):
    labels, probabilities = valid
    predicted = probabilities.argmax(axis=1)
    expected = {
        "val/acc_macro": balanced_accuracy_score(labels, predicted),
        "val/f1_macro": f1_score(labels, predicted, average="macro"),
        "val/auroc": np.mean([roc_auc_score(labels == each, probabilities[:, each]) for each in range(3)]),
    }
    assert {name: summary[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert {"val/ece", "val/kappa"} <= summary.keys()


def test_a_metric_that_asks_for_more_classes_is_left_out_with_a_notice(scored, summary):
    run_dir, _ = scored
    assert "val/acc_top5" not in summary
    columns = pd.read_csv(run_dir / "metrics.csv").columns
    assert "val/acc_top5" not in columns
    assert {"val/acc_macro", "val/f1_macro", "val/auroc", "val/ece", "val/kappa"} <= set(columns)


def test_every_epoch_has_each_metric_and_the_last_ones_are_the_summarys(scored, summary):
    rows = pd.read_csv(scored[0] / "metrics.csv")
    names = ["val/acc_macro", "val/f1_macro", "val/auroc", "val/ece", "val/kappa"]
    assert rows[names].notna().all(axis=None)
    assert rows[names].iloc[-1].to_dict() == pytest.approx({name: summary[name] for name in names}, abs=1e-6)


def test_a_sweeper_gets_the_metric_that_it_asks_for(scored, summary):
    assert scored[1] == summary["val/f1_macro"]


def test_a_labelled_test_set_is_scored_by_the_metrics_too(summary):
    assert {"test/acc", "test/loss", "test/f1_macro", "test/kappa"} <= summary.keys()


def test_the_loggers_get_each_metric(scored):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(scored[0] / "tensorboard"))
    events.Reload()
    assert {"val/acc", "val/f1_macro", "val/kappa"} <= set(events.Tags()["scalars"])


def test_metrics_leave_nothing_in_a_checkpoint(scored):
    content = torch.load(scored[0] / "checkpoints" / "last.ckpt", weights_only=True)
    assert {name.split(".")[0] for name in content["state_dict"]} == {"model"}


def test_what_the_binary_loss_trains_predicts_the_softmax_of_its_logits(valid, summary):
    labels, probabilities = valid
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(labels)), abs=1e-6)
    expected = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    assert summary["val/loss"] == pytest.approx(expected, rel=1e-5)


def test_predicting_needs_neither_metrics_nor_labels(scored, dataset, command, tmp_path):
    outcome = command("predict", f"run={scored[0]}", f"data={dataset}/valid", f"output={tmp_path}/new.csv")
    assert outcome.code == 0, outcome.err
    assert len(pd.read_csv(tmp_path / "new.csv")) == 12


@pytest.fixture
def fit(composed, tiny, tmp_path):
    """Return a function that trains the tiny data set and returns the run directory."""

    def run(*overrides):
        prepare(composed(*tiny, *QUICK, *overrides), tmp_path, [])
        train(tmp_path)
        return tmp_path

    return run


@pytest.fixture
def parts(parsed):
    """Return a function that builds the parts of a run."""

    def build(*overrides):
        config = parsed(*overrides)
        return build_parts(config, read_table(config.data, verify=False))

    return build


def test_a_run_with_focal_loss_class_weights_and_mixing_ends_and_predicts(fit, dataset, command):
    weighted = ["model/loss=focal", "model.class_weights=balanced", "model.mixing.mixup=0.4"]
    run_dir = fit(*weighted, "schedule.phases.head.precompute=false")
    rows = pd.read_csv(run_dir / "metrics.csv")
    assert np.isfinite(rows["train/loss"]).all()
    outcome = command("predict", f"run={run_dir}", f"data={dataset}/valid", f"output={run_dir}/new.csv")
    assert outcome.code == 0, outcome.err


@pytest.mark.fault(
    "Splits, batches and metrics",
    "A metric cannot be computed on these pictures",
    "Its cells are blank, with one notice",
)
def test_a_metric_that_cannot_be_computed_is_blank_in_a_whole_summary_and_said_once(fit, caplog):
    with caplog.at_level(logging.WARNING):
        # Two pictures for validation: one class or two have none.
        run_dir = fit("metrics=all", "data.valid=null", "data.valid_pct=0.09", "data.split=random")
    split = pd.read_csv(run_dir / "split.csv")
    assert split.loc[split["split"] == "valid", "label"].nunique() < 3
    summary = json.loads((run_dir / "summary.json").read_text(), parse_constant=pytest.fail)
    assert summary["val/auroc"] is None
    assert summary["val/f1_macro"] >= 0
    assert pd.read_csv(run_dir / "metrics.csv")["val/auroc"].isna().all()
    assert caplog.text.count("metrics.auroc cannot be computed: No positive samples") == 1


def test_two_ranks_score_all_pictures_and_agree_on_what_cannot_be_computed(fit):
    ranks = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    few = ["data.valid=null", "data.valid_pct=0.17", "data.split=random", "data.split_seed=1", REPORTS_FINAL]
    more = ["metrics=all", "model/loss=focal", "model.class_weights=sqrt", "model/optimizer=lamb"]
    run_dir = fit(*ranks, *few, *more)
    summary = json.loads((run_dir / "summary.json").read_text())
    table = pd.read_csv(run_dir / "predictions" / "valid.csv")
    assert table["label"].nunique() == 2
    expected = f1_score(table["label"], table["prediction"], average="macro")
    assert summary["val/f1_macro"] == pytest.approx(expected, abs=1e-6)
    # Only the first rank is warned of the class without pictures.
    assert summary["val/auroc"] is None
    assert pd.read_csv(run_dir / "metrics.csv")["val/auroc"].isna().all()


def test_a_metric_can_be_monitored(fit):
    early = "lightning.pytorch.callbacks.EarlyStopping"
    monitor = f"{{_target_: {early}, monitor: val/kappa, mode: max, stopping_threshold: -2}}"
    run_dir = fit(KAPPA, f"+callbacks.early={monitor}")
    # Any kappa is above -2: it stops after the first of two epochs.
    assert len(pd.read_csv(run_dir / "metrics.csv")) == 1


@pytest.mark.parametrize(
    ("override", "loss", "smoothing"),
    [
        ([], nn.CrossEntropyLoss, 0.1),
        (["model.loss.label_smoothing=0.05"], nn.CrossEntropyLoss, 0.05),
        (["model/loss=focal", "model.loss.gamma=1.5"], FocalLoss, 0.0),
        (["model/loss=bce", "model.loss.label_smoothing=0.2"], BinaryCrossEntropy, 0.2),
        (["model=resnet34", "model/loss=focal", "model.backbone=test_resnet"], FocalLoss, 0.0),
    ],
)
@pytest.mark.sampled(2)
def test_a_loss_is_chosen_and_changed_by_override(override, loss, smoothing, parts):
    built = parts(*override, "model.weights=none").module.loss
    assert type(built) is loss
    assert built.label_smoothing == smoothing


@pytest.mark.parametrize("option", ["cross_entropy", "focal", "bce"])
def test_class_weights_are_those_of_the_training_pictures(option, parts):
    balanced = parts(f"model/loss={option}", "model.class_weights=balanced").module.loss.weight
    assert balanced.tolist() == [1.0, 1.0, 1.0]
    given = parts(f"model/loss={option}", "model.class_weights=[1, 2, 0.5]").module.loss.weight
    assert given.tolist() == [1.0, 2.0, 0.5]


def test_class_weights_come_in_class_order(parsed):
    model = parsed("model.class_weights=balanced").model
    assert build_loss(model, COUNTS).weight.tolist() == [2.0, 0.5, 2.0]
    assert build_loss(replace(model, class_weights="sqrt"), COUNTS).weight.tolist() == pytest.approx(
        [2**0.5, 0.5**0.5, 2**0.5]
    )


def test_without_class_weights_a_loss_gets_none(parts):
    assert parts().module.loss.weight is None


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            [NO_WEIGHT, "~model.loss.label_smoothing", "model.class_weights=sqrt"],
            "model.class_weights=sqrt: timm.loss.LabelSmoothingCrossEntropy takes no weight; "
            "give none, or model/loss=cross_entropy, focal or bce",
        ),
        (
            ["model.class_weights=[1, 2]"],
            "model.class_weights=[1, 2]: give 3 numbers above 0, one for each class in class order",
        ),
        (
            ["model/loss=focal", "model.loss.gamma=-1"],
            "model.loss.gamma=-1: give a number from 0",
        ),
        (
            [TOP_FIVE],
            "metrics.top: Expected argument `top_k` to be smaller or equal to `num_classes` but got 5 and 3",
        ),
        (
            ["metrics=all", "optimized_metric=val/acc_top5"],
            "optimized_metric=val/acc_top5: metrics.acc_top5 asks for 6 classes (min_classes), "
            "and there are 3; choose another metric",
        ),
        (
            [KAPPA, "optimized_metric=val/kapa"],
            "optimized_metric=val/kapa: give one of val/acc, ",
        ),
        (
            ["callbacks.checkpoint.best=val/accc"],
            "callbacks.checkpoint.best=val/accc: give one of val/acc, val/loss, train/loss, ",
        ),
        (
            ["callbacks.checkpoint.best=val/acc_ensemble"],
            "callbacks.checkpoint.best=val/acc_ensemble: give one of val/acc, val/loss, train/loss, ",
        ),
        (
            [OWN, "callbacks.checkpoint.best=val/mine"],
            "callbacks.checkpoint.best=val/mine: metrics.mine does not say whether more or less of it is "
            "better; give metrics.mine.higher_is_better=true or false",
        ),
        (
            [OWN, "optimized_metric=val/mine"],
            "optimized_metric=val/mine: metrics.mine does not say whether more or less of it is better; ",
        ),
        (
            [KAPPA.replace("kappa", "acc_tta")],
            "metrics.acc_tta: val/acc_tta is what the program scores; choose another name",
        ),
        (
            ["+metrics.all._target_=torchmetrics.classification.MulticlassConfusionMatrix"],
            "metrics.all is no metric of probabilities [N, C] and labels [N]: it does not give one number",
        ),
        (
            ["+metrics.mean._target_=torchmetrics.MeanSquaredError"],
            "metrics.mean is no metric of probabilities [N, C] and labels [N]: Predictions and targets",
        ),
        (
            [TOP_FIVE.replace("top_k", "topk")],
            "metrics.top: Unexpected keyword arguments: `topk`",
        ),
    ],
)
@pytest.mark.sampled(4)
def test_a_mistake_is_one_sentence_before_training(overrides, sentence, tiny, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    outcome = command("train", *tiny, *overrides)
    assert outcome.code == 1, outcome.err
    assert len(outcome.mistakes) == 1
    assert outcome.mistakes[0].removeprefix("imageclf: ").startswith(sentence)
    assert not list(tmp_path.rglob("metrics.csv"))


@pytest.mark.parametrize(
    ("node", "lower"),
    [
        ("torchmetrics.classification.MulticlassCalibrationError}", True),
        ("torchmetrics.classification.MulticlassF1Score}", False),
        ("torchmetrics.HammingDistance, task: multiclass}", True),
        (f"{__name__}.Constant}}", None),
        (f"{__name__}.Constant, higher_is_better: false}}", True),
        ("torchmetrics.classification.MulticlassF1Score, higher_is_better: false}", True),
    ],
)
@pytest.mark.sampled(3)
def test_a_metric_says_by_itself_or_by_its_node_which_way_it_is_better(parsed, node, lower):
    assert lower_is_better("val/mine", parsed(f"+metrics.mine={{_target_: {node}")) is lower


@pytest.mark.parametrize(("score", "lower"), [("val/acc_tta", False), ("train/loss_plain", True)])
def test_of_the_programs_own_scores_less_is_better_of_losses(parsed, score, lower):
    assert lower_is_better(score, parsed()) is lower


def test_metrics_that_are_null_are_not_built(parsed):
    assert build_metrics(parsed("+metrics.f1=null"), 3) == {}


def test_a_class_that_lost_its_training_pictures_is_named(parsed):
    model = parsed("model.class_weights=sqrt").model
    with pytest.raises(InputError, match=r"these classes have no training picture: red$"):
        build_loss(model, COUNTS | {"red": 0})
