"""The answers of a task of numbers, against scikit-learn, scipy and torch."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn import metrics
from torch import nn

from imageclf import InputError
from imageclf.data.sources.split import Splitting
from imageclf.data.sources.table import Table, make_table
from imageclf.model import RankCorrelation, RootMeanSquaredError, r2_score
from imageclf.model.metrics import further_scores
from imageclf.model.predictions import Predictions
from imageclf.tasks import MULTICLASS, Regression

CLASSES = ("age", "height")
LABELS = ["age=41|height=1.80", "height=1.5|age=-2e1", ""]
TASK = Regression(mean=(50.0, 1.7), spread=(20.0, 0.1))


@pytest.fixture(scope="module")
def drawn():
    """Return predictions and targets of 50 pictures and 2 columns."""
    generator = np.random.default_rng(0)
    targets = generator.normal([50.0, 1.7], [20.0, 0.1], (50, 2)).astype(np.float32)
    return (targets + generator.normal(0, [5.0, 0.05], (50, 2))).astype(np.float32), targets


def table_of(values) -> Table:
    ids = [f"{number}.png" for number in range(len(values))]
    labels = [f"age={value}" for value in values]
    return make_table({"id": ids, "path": ids, "label": labels}, Regression())


def splitting(**changes) -> Splitting:
    given = {"valid_pct": 0.2, "split": "stratified", "split_seed": 0, "fold": None, "folds": 5}
    return Splitting(**given | changes)


def test_numbers_are_read_by_their_names_and_unknown_ones_are_nan():
    targets = TASK.targets(LABELS, CLASSES)
    np.testing.assert_array_equal(targets, np.array([[41, 1.8], [-20, 1.5], [np.nan] * 2], np.float32))
    assert TASK.kind.known(targets).tolist() == [True, True, False]
    assert TASK.kind.shown(LABELS, CLASSES) == ["41|1.80", "-2e1|1.5", ""]


def test_columns_of_a_csv_keep_how_their_numbers_are_written():
    columns = pd.DataFrame({"age": ["41", " -2e1"], "height": ["1.80", "1.5"]})
    assert TASK.label_texts(columns).tolist() == ["age=41|height=1.80", "age=-2e1|height=1.5"]
    assert set(TASK.names_in(LABELS)) == set(CLASSES)


@pytest.mark.parametrize("cell", ["", "old", "1,5", "nan", "inf", "1_000", "-1e18"])
def test_a_cell_that_is_no_number_is_refused_with_its_row(cell):
    columns = pd.DataFrame({"age": ["41", cell]}, index=[2, 3])
    with pytest.raises(
        InputError, match=r"data\.label_column=age: row 3 holds .* 1 of 2 rows hold no number"
    ):
        TASK.label_texts(columns)


def test_mean_and_spread_are_those_of_the_training_pictures(drawn):
    _, targets = drawn
    task = Regression().measured(targets, CLASSES)
    assert task.mean == pytest.approx(targets.mean(axis=0), rel=1e-6)
    assert task.spread == pytest.approx(targets.std(axis=0), rel=1e-5)


@pytest.mark.parametrize("column", [[5.0, 5.0, 5.0], [1e9, 1e9 + 200, 1e9 + 100]])
def test_a_column_without_differences_is_refused(column):
    with pytest.raises(InputError, match=r"data\.label_column=height: .* leaves nothing to learn"):
        Regression().measured(np.array([[0, 1, 2], column], dtype=np.float32).T, CLASSES)


def test_predictions_are_in_the_unit_of_the_csv():
    outputs = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    numbers = TASK.probabilities(outputs)
    torch.testing.assert_close(numbers, torch.tensor([[50.0, 1.7], [70.0, 1.5]]))
    torch.testing.assert_close(TASK.logits(numbers), outputs)


@pytest.mark.parametrize(("loss", "plain"), [(nn.MSELoss(), "mse_loss"), (nn.L1Loss(), "l1_loss")])
def test_a_loss_compares_standardised_numbers(loss, plain, drawn):
    predictions, targets = map(torch.from_numpy, drawn)
    mean, spread = torch.tensor(TASK.mean), torch.tensor(TASK.spread)
    expected = getattr(nn.functional, plain)((predictions - mean) / spread, (targets - mean) / spread)
    found = TASK.kind.on_targets(loss)((predictions - mean) / spread, targets)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_the_loss_of_a_picture_is_its_mean_squared_error_over_the_columns(drawn):
    predictions, targets = drawn
    expected = [
        metrics.mean_squared_error(*(each / np.float64(TASK.spread) for each in pair))
        for pair in zip(targets[:, None], predictions[:, None], strict=True)
    ]
    np.testing.assert_allclose(TASK.losses(predictions, targets), expected, rtol=1e-6)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-6, 0.0), (1e-9, 0.0), (1.0, 1e4)])
def test_the_explained_share_is_scikit_learns_whatever_the_unit(drawn, scale, shift):
    predicted, truth = (torch.from_numpy(each * np.float32(scale) + np.float32(shift)) for each in drawn)
    expected = metrics.r2_score(truth.double(), predicted.double())
    assert r2_score(predicted, truth) == pytest.approx(expected, abs=1e-6)


def test_of_equal_numbers_no_share_is_explained():
    assert np.isnan(r2_score(torch.tensor([0.2, 0.3]), torch.tensor([0.1, 0.1])))


# Here there is one batch; it warns of many.
@pytest.mark.filterwarnings("ignore:Metric `SpearmanCorrcoef` will save all targets")
@pytest.mark.parametrize("columns", [1, 2])
def test_scores_are_those_of_scikit_learn_and_scipy(drawn, columns):
    predicted, truth = (torch.from_numpy(each[:, :columns]) for each in drawn)
    given = {"rmse": RootMeanSquaredError(columns), "spearman": RankCorrelation(columns)}
    found = further_scores(given, Predictions(torch.arange(50), truth, predicted, TASK))
    ranks = [stats.spearmanr(*pair).statistic for pair in zip(truth.T, predicted.T, strict=True)]
    expected = {"rmse": metrics.root_mean_squared_error(truth, predicted), "spearman": np.mean(ranks)}
    assert found == pytest.approx(expected, abs=1e-5)


def test_there_is_no_accuracy(drawn):
    predicted, targets = map(torch.from_numpy, drawn)
    assert set(Predictions(torch.arange(50), targets, predicted, TASK).scores) == {"loss"}


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.L1Loss(), nn.HuberLoss()])
def test_a_loss_of_numbers_is_for_numbers_alone(loss):
    TASK.check_loss(loss, 2)
    with pytest.raises(InputError, match="learns a number of each picture: give task=regression"):
        MULTICLASS.check_loss(loss, 2)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()])
def test_a_loss_of_classes_is_refused(loss):
    with pytest.raises(InputError, match=r"with task=regression give model/loss=mse, l1 or huber"):
        TASK.check_loss(loss, 2)


def test_cutmix_is_refused_and_mixup_is_not():
    TASK.kind.check_mixing({"mixup": 0.4, "cutmix": 0})
    with pytest.raises(InputError, match=r"model\.mixing\.cutmix=1: .* give model\.mixing\.mixup"):
        TASK.kind.check_mixing({"mixup": 0, "cutmix": 1})


def test_what_is_held_out_has_its_share_of_each_tenth_of_the_numbers():
    values = np.random.default_rng(1).exponential(size=100).round(6)
    table = splitting().apply(table_of(values))
    tenths = pd.qcut(values, 10, labels=False)
    assert np.bincount(tenths[table.rows("valid")]).tolist() == [2] * 10


def test_folds_have_their_share_of_each_tenth_and_hold_out_each_picture_once():
    values = np.random.default_rng(1).exponential(size=100).round(6)
    tenths = pd.qcut(values, 10, labels=False)
    held_out = [splitting(fold=fold).apply(table_of(values)).rows("valid") for fold in range(5)]
    assert sorted(np.concatenate(held_out)) == list(range(100))
    assert all(np.bincount(tenths[rows]).tolist() == [2] * 10 for rows in held_out)


def test_equal_numbers_are_dealt_out_as_a_class():
    grades = np.repeat([1, 2, 3, 4], 25)
    table = splitting().apply(table_of(grades))
    assert np.bincount(grades[table.rows("valid")])[1:].tolist() == [5] * 4


def test_several_columns_are_dealt_out_together():
    generator = np.random.default_rng(2)
    values = generator.exponential(size=(200, 2))
    strata = TASK.kind.dealt_by(values)
    valid = splitting()._valid_rows(strata, None)
    for column in values.T:
        assert np.bincount(pd.qcut(column, 10, labels=False)[valid], minlength=10) == pytest.approx(4, abs=2)


def test_a_summary_gives_back_mean_and_spread():
    assert Regression().restored(TASK.facts(), 2) == TASK


@pytest.mark.parametrize(
    "change", [{"target_mean": None}, {"target_spread": [1.0, 0.0]}, {"target_mean": [1]}]
)
def test_a_damaged_summary_is_refused(change):
    with pytest.raises(InputError, match=r"summary\.json is damaged: target_mean and target_spread"):
        Regression().restored(TASK.facts() | change, 2)
