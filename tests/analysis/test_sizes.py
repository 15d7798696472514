import numpy as np
import pandas as pd
import pytest

from imageclf.analysis.sizes import (
    crop_warning,
    cut_shares,
    fitting_size,
    kind_rows,
    num_enlarged,
    size_rows,
)


def pictures(*sizes, fault=""):
    width, height = zip(*sizes, strict=True)
    faults = [fault] + [""] * (len(sizes) - 1)
    return pd.DataFrame({"width": width, "height": height, "fault": faults, "format": "JPEG", "mode": "RGB"})


SOME = pictures((100, 50), (80, 90), (60, 120), (200, 70))


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


@pytest.mark.parametrize(
    ("width", "height", "crop_pct", "share"),
    [(100, 100, 1.0, 0), (200, 100, 1.0, 0.5), (100, 300, 1.0, 2 / 3), (100, 100, 0.875, 1 - 0.875**2)],
)
def test_a_centre_crop_cuts_off_what_lies_outside_of_it(width, height, crop_pct, share):
    pictures = pd.DataFrame({"width": [width], "height": [height], "fault": [""]})
    assert cut_shares(pictures, crop_pct) == pytest.approx([share])


@pytest.mark.parametrize(
    ("resize", "wide", "warned"), [("crop", 5, True), ("crop", 4, False), ("pad", 99, False)]
)
def test_a_crop_is_warned_of_where_it_cuts_much_off_one_picture_in_twenty(resize, wide, warned):
    pictures = pd.DataFrame({"width": [200] * wide + [100] * (100 - wide), "height": 100, "fault": ""})
    assert bool(crop_warning(pictures, resize, 1.0, 224)) is warned


@pytest.mark.parametrize(
    ("width", "height", "size", "share"),
    [(200, 100, (64, 128), 0), (100, 100, (64, 128), 0.5), (400, 100, (64, 128), 0.5), (50, 100, 64, 0.5)],
)
def test_a_crop_that_is_not_square_cuts_off_what_is_of_another_shape(width, height, size, share):
    pictures = pd.DataFrame({"width": [width], "height": [height], "fault": [""]})
    assert cut_shares(pictures, 1.0, size) == pytest.approx([share])


def frame(*shapes):
    """Return ten readable pictures of each (width, height)."""
    width, height = zip(*(shape for shape in shapes for _ in range(10)), strict=True)
    return pd.DataFrame({"width": width, "height": height, "fault": ""})


def test_the_warning_names_a_size_of_the_shape_of_the_pictures_and_as_many_pixels():
    assert fitting_size(frame((400, 200), (410, 200)), 128) == (96, 192)
    assert crop_warning(frame((400, 200)), "crop", 1.0, 128) == (
        "data.resize=crop cuts more than a third off 10 of 10 pictures, and 50 % off the median one: "
        "data.size=96x192 (height x width) would cut 0 % off it, and data.resize=squish or pad shows "
        "them whole."
    )
    assert crop_warning(frame((400, 200)), "crop", 1.0, (96, 192)) == ""


def test_no_size_is_named_where_the_pictures_have_no_shape_in_common():
    both = frame((400, 200), (200, 400))
    assert fitting_size(both, 128) is None
    assert crop_warning(both, "crop", 1.0, 128).endswith("one: data.resize=squish or pad shows them whole.")


def test_pictures_are_enlarged_to_cover_a_size_that_is_not_square():
    assert [num_enlarged(frame((100, 60)), size) for size in ((60, 100), (61, 100), (60, 101))] == [0, 10, 10]
