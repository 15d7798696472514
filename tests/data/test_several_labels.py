"""Pictures with several labels: read from a CSV, and split so that each part gets its share of each."""

import numpy as np
import pandas as pd
import pytest

from imageclf import InputError
from imageclf.data import CsvSource, Splitting, Table, make_table
from imageclf.tasks import MULTICLASS, Multilabel

SHARES = {"common": 0.6, "usual": 0.3, "rare": 0.05, "rarest": 0.01}


@pytest.fixture(scope="module")
def table():
    """Return 1,000 pictures, more than a quarter of which have no label."""
    generator = np.random.default_rng(0)
    has = generator.random((1000, len(SHARES))) < list(SHARES.values())
    labels = ["|".join(np.array(list(SHARES))[row]) for row in has]
    ids = [str(row) for row in range(len(labels))]
    return make_table({"id": ids, "path": ids, "label": labels}, Multilabel())


def splitting(**options):
    return Splitting(
        **{"valid_pct": 0.2, "split": "stratified", "split_seed": 1, "fold": None, "folds": 5} | options
    )


def test_a_share_of_each_label_is_held_out(table):
    split = splitting().apply(table)
    assert len(split.rows("valid")) == pytest.approx(200, abs=2)
    held_out, all_of_them = split.class_counts("valid"), table.class_counts("")
    assert held_out == pytest.approx(0.2 * all_of_them, abs=1.5)


def test_pictures_without_a_label_are_held_out_by_the_same_share(table):
    split = splitting().apply(table)
    is_blank = (table.frame["label"] == "").to_numpy()
    assert is_blank[split.rows("valid")].sum() == pytest.approx(0.2 * is_blank.sum(), abs=8)


def test_each_picture_is_in_one_fold_and_each_fold_has_its_share(table):
    folds = [splitting(fold=fold).apply(table) for fold in range(5)]
    rows = np.concatenate([each.rows("valid") for each in folds])
    assert sorted(rows) == list(range(1000))
    counts = np.array([each.class_counts("valid") for each in folds])
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 2


def test_nothing_is_held_out_of_a_run_without_validation(table):
    assert len(splitting(valid_pct=0.0).apply(table).rows("valid")) == 0


def test_more_folds_than_pictures_are_refused():
    few = make_table({"id": ["1", "2"], "path": ["1", "2"], "label": ["a", "b"]}, Multilabel())
    with pytest.raises(InputError, match=r"data\.folds=5 is more than the 2 pictures to split"):
        splitting(fold=0).apply(few)


def test_the_split_follows_from_its_seed(table):
    first, again, other = (
        splitting(split_seed=seed).apply(table).rows("valid").tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


COLUMNS = "image,dew,haze,patient\na,1,1,x\nb,0,0,y\nc,0,1,x\n"


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a CSV of the pictures a, b and c."""
    (tmp_path / "images").mkdir()
    for name in "abc":
        (tmp_path / "images" / f"{name}.jpg").touch()

    def call(text: str, task=Multilabel(), **options) -> Table:  # noqa: B008
        (tmp_path / "labels.csv").write_text(text)
        columns = dict.fromkeys(("id_column", "label_column", "group_column", "valid_column", "test"))
        source = CsvSource(str(tmp_path), "labels.csv", "images", ".jpg", **(columns | options))
        return task.read(source.read)

    return call


def test_a_cell_of_labels_is_read_and_may_be_blank(read):
    table = read("image,tags\na,haze dew\nb,\nc,haze\n")
    assert table.classes == ("dew", "haze")
    assert table.labels.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_a_row_for_each_label_is_refused(read):
    with pytest.raises(InputError, match=r"an id must have all its labels in one row, .* rows 2, 3: 'a'"):
        read("image,tags\na,haze\na,dew\nb,haze\n")


def test_columns_of_0_and_1_are_the_labels_but_for_those_that_have_another_use(read):
    table = read(COLUMNS, group_column="patient")
    assert table.classes == ("dew", "haze")
    assert table.labels.tolist() == [[1, 1], [0, 0], [0, 1]]


def test_columns_can_be_listed(read):
    assert read(COLUMNS, label_column=["haze", "dew"]).frame["label"].tolist() == ["dew|haze", "", "haze"]


def test_the_usual_task_still_takes_the_second_column_of_marks(read):
    assert read(COLUMNS, MULTICLASS).frame["label"].tolist() == ["1", "0", "0"]


def test_several_columns_are_refused_by_the_usual_task(read):
    with pytest.raises(InputError, match="with task=multiclass give one column"):
        read(COLUMNS, MULTICLASS, label_column=["haze", "dew"])


def test_a_table_of_several_labels_is_saved_and_read_back(read, tmp_path):
    table = read("image,tags\na,haze dew\nb,\nc,haze\n")
    table.save(tmp_path / "split.csv")
    again = Table.load(tmp_path / "split.csv", task=Multilabel())
    assert (again.classes, again.labels.tolist()) == (table.classes, table.labels.tolist())


def test_groups_stay_together_and_get_their_share(table):
    groups = np.arange(1000) // 4
    grouped = Table(table.frame, table.classes, pd.Series(groups.astype(str)), table.task)
    split = splitting().apply(grouped)
    assert not set(groups[split.rows("valid")]) & set(groups[split.rows("train")])
    assert split.class_counts("valid") == pytest.approx(0.2 * table.class_counts(""), rel=0.1, abs=2)
