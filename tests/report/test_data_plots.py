"""The plots of a data set: classes as bars, sizes as histograms."""

import pandas as pd
import pytest

from imageclf.analysis.balance import class_balance
from imageclf.report.plots.balance_plot import balance_figure
from imageclf.report.plots.sizes_plot import sizes_figure
from imageclf.report.plots.style import svg_bytes

BALANCE = pd.DataFrame(
    {"label": ["cat", "dog"], "train": [3, 5], "valid": [1, 0], "test": [0, 1], "share": [0.4, 0.6]}
)


def many(count):
    labels = [f"class {index}" for index in range(count)]
    return class_balance(pd.DataFrame({"label": labels, "split": "train"}), labels)


def names(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


def pictures(*sizes, fault=""):
    width, height = zip(*sizes, strict=True)
    faults = [fault] + [""] * (len(sizes) - 1)
    return pd.DataFrame({"width": width, "height": height, "fault": faults, "format": "JPEG", "mode": "RGB"})


SOME = pictures((100, 50), (80, 90), (60, 120), (200, 70))
LARGE = pictures((100, 50), (80, 90), (2000, 1500))


def curves(axes):
    """Return the heights of the histograms drawn as lines, by name."""
    named = {patch.get_label(): patch for patch in axes.patches if not patch.get_label().startswith("_")}
    # A step has two corners at its top; the rest lies on the ground.
    return {name: patch.get_xy()[1:-1:2, 1] for name, patch in named.items()}


def test_the_largest_class_is_drawn_first():
    assert names(balance_figure(BALANCE).axes[0]) == ["dog", "cat"]


def test_the_bars_of_a_class_are_as_long_together_as_it_has_pictures():
    widths = [bar.get_width() for bar in balance_figure(BALANCE).axes[0].patches]
    assert sum(widths) == 10


def test_a_split_without_labelled_pictures_is_not_in_the_legend():
    (legend,) = balance_figure(BALANCE.assign(test=0)).legends
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


def test_small_pictures_have_one_plot():
    assert len(sizes_figure(SOME, 224).axes) == 1


def test_large_pictures_have_a_second_plot_of_those_below_1000_pixels():
    everything, below = sizes_figure(LARGE, 224).axes
    assert everything.get_xlim()[1] > 2000
    assert below.get_xlim()[1] < 1000


@pytest.mark.parametrize("name", ["width", "height", "shorter side"])
def test_every_picture_is_in_each_histogram(name):
    axes = sizes_figure(SOME, 224).axes[0]
    assert curves(axes)[name].sum() == len(SOME)


def test_the_size_of_training_is_marked():
    (line,) = sizes_figure(SOME, 128).axes[0].lines
    assert set(line.get_xdata()) == {128}


def test_a_size_far_from_the_pictures_is_not_marked():
    assert not sizes_figure(pictures((3000, 3000), (3100, 3200)), 224).axes[0].lines


@pytest.mark.parametrize(
    "table", [pictures((32, 32)), pictures((1, 1), (5000, 3)), pictures((3000, 2000), (3000, 2000))]
)
def test_any_sizes_can_be_drawn(table):
    assert svg_bytes(sizes_figure(table, 224)).startswith(b"<?xml")
