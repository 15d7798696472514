import pandas as pd
import pytest

from imageclf.analysis import class_balance
from imageclf.report.plots.balance_plot import balance_figure
from imageclf.report.plots.style import svg_bytes

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


def many(count):
    labels = [f"class {index}" for index in range(count)]
    return class_balance(pd.DataFrame({"label": labels, "split": "train"}), labels)


def names(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


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


def test_the_largest_class_is_drawn_first():
    assert names(balance_figure(balance()).axes[0]) == ["dog", "cat"]


def test_the_bars_of_a_class_are_as_long_together_as_it_has_pictures():
    widths = [bar.get_width() for bar in balance_figure(balance()).axes[0].patches]
    assert sum(widths) == 10


def test_a_split_without_labelled_pictures_is_not_in_the_legend():
    (legend,) = balance_figure(balance(PICTURES[PICTURES["split"] != "test"])).legends
    assert [text.get_text() for text in legend.get_texts()] == ["train", "valid"]


def test_many_classes_are_drawn_without_names():
    axes = balance_figure(many(61)).axes[0]
    assert axes.get_xlabel() == "classes, the largest first"
    assert len(axes.patches) == 61


@pytest.mark.parametrize("count", [1, 60, 1000])
def test_the_plot_is_no_wider_than_the_page_and_no_taller_than_a_screen_or_two(count):
    width, height = balance_figure(many(count)).get_size_inches()
    assert width == 10.8
    assert height < 18


def test_a_class_name_with_signs_of_mathematics_or_markup_is_drawn_as_it_is():
    table = class_balance(pd.DataFrame({"label": ["$x^$", "<b>"], "split": "train"}), ["$x^$", "<b>"])
    drawn = svg_bytes(balance_figure(table)).decode()
    assert "$x^$" in drawn
    assert "&lt;b&gt;" in drawn
