import numpy as np
import pandas as pd
import pytest

from imageclf.analysis.sizes import crop_warning, cut_shares, kind_rows, num_enlarged, size_rows


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
    assert bool(crop_warning(pictures, resize, 1.0)) is warned
