import numpy as np
import pandas as pd
import pytest

from imageclf.analysis.sizes import kind_rows, num_enlarged, size_rows
from imageclf.report.plots.sizes_plot import sizes_figure
from imageclf.report.plots.style import svg_bytes


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


def test_smallest_median_and_largest_are_those_of_numpy():
    shorter = [50, 80, 60, 70]
    assert size_rows(SOME) == [
        ("width", 60, 90.0, 200),
        ("height", 50, 80.0, 120),
        ("shorter side", min(shorter), float(np.median(shorter)), max(shorter)),
    ]


def test_a_picture_that_cannot_be_read_has_no_size():
    assert size_rows(pictures((1, 1), (80, 90), fault="cut short"))[0] == ("width", 80, 80.0, 80)


def test_where_no_picture_can_be_read_there_are_no_sizes():
    assert size_rows(pictures((1, 1), fault="cut short")) == []


def test_formats_and_modes_are_counted_most_frequent_first():
    table = pictures((1, 1), (2, 2), (3, 3), (4, 4)).assign(
        format=["PNG", "JPEG", "JPEG", "PNG"], mode=["P", "RGB", "RGB", "RGBA"]
    )
    assert kind_rows(table) == [("JPEG", "RGB", 2), ("PNG", "P", 1), ("PNG", "RGBA", 1)]


@pytest.mark.parametrize(("size", "count"), [(50, 0), (51, 1), (224, 4)])
def test_pictures_below_the_size_are_counted_by_their_shorter_side(size, count):
    assert num_enlarged(SOME, size) == count


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
