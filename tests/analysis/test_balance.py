import pandas as pd

from imageclf.analysis.balance import class_balance

PICTURES = pd.DataFrame(
    [("cat", "train")] * 3
    + [("cat", "valid")]
    + [("dog", "train")] * 5
    + [("dog", "test")]
    + [("", "test")] * 4,
    columns=["label", "split"],
)


def balance(pictures=PICTURES, classes=("cat", "dog")):
    return class_balance(pictures, classes)


def test_each_class_is_counted_by_split():
    assert balance()[["label", "train", "valid", "test"]].to_numpy().tolist() == [
        ["cat", 3, 1, 0],
        ["dog", 5, 0, 1],
    ]


def test_a_share_is_of_the_labelled_pictures():
    assert balance()["share"].tolist() == [0.4, 0.6]


def test_classes_keep_their_order():
    assert balance(classes=("dog", "cat"))["label"].tolist() == ["dog", "cat"]


def test_a_class_without_pictures_has_a_row():
    assert balance(classes=("cat", "dog", "emu")).iloc[2].tolist() == ["emu", 0, 0, 0, 0.0]


def test_pictures_without_a_split_do_not_count():
    left_out = PICTURES.assign(split="")
    assert balance(left_out)["share"].tolist() == [0.0, 0.0]
