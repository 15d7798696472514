"""What may be typed for the size of pictures, and what it is written as."""

import doctest

import pytest

from imageclf import InputError
from imageclf.schedule import Phase, Schedule, phase_rows, size
from imageclf.schedule.size import Oblong, read_size

WIDE = Oblong(128, 256)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [(128, 128), ([128, 128], 128), ("128x128", 128), ([128, 256], WIDE), ("128x256", WIDE)],
)
def test_a_size_is_typed_as_a_number_a_pair_or_a_text(typed, expected):
    found = read_size(typed, "data.size")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "typed",
    [
        *(0, -1, 8193, True, 1.5, None, {}, [128], [0, 5], [1, 2, 3], [128, "256"], [[128, 256]]),
        *("128", "large", "0x5", "128 x 256", "128X256", "99999x1"),
    ],
)
def test_anything_else_is_refused_in_a_sentence_that_names_the_key(typed):
    with pytest.raises(InputError) as refusal:
        read_size(typed, "data.size")
    assert str(refusal.value) == (
        f"data.size={typed}: give a whole number from 1 to 8192, pixels a side, or height and width as "
        "[128, 256] or 128x256"
    )


def phase(**keys):
    """Return a phase as a YAML has it."""
    return Schedule.from_plain({"tune": {"lr": 1e-3, **keys}})


def test_a_phase_and_each_of_its_cycles_may_have_a_height_and_a_width():
    wide = phase(size="128x256", n_cycles=2)
    assert [place.size for place in wide.places] == [WIDE, WIDE]
    grows = phase(size=[64, "64x128", [128, 256]], n_cycles=3)
    assert [place.size for place in grows.places] == [64, Oblong(64, 128), WIDE]
    rows = phase_rows(grows, ("body0", "head"), lambda place: 1, 224, (9, 1))
    assert rows[0]["size"] == "64+64x128+128x256"


def test_a_list_of_two_numbers_is_of_two_cycles_and_otherwise_refused_with_what_to_write():
    assert [place.size for place in phase(size=[128, 256], n_cycles=2).places] == [128, 256]
    with pytest.raises(InputError, match=r"^schedule\.phases\.tune\.size=\[128, 256\] holds 2 .*=128x256$"):
        phase(size=[128, 256], n_cycles=3)


def test_a_wrong_size_of_a_phase_names_its_key():
    with pytest.raises(InputError, match=r"^schedule\.phases\.tune\.size=large: give a whole number"):
        phase(size="large")


def test_the_sizes_of_a_run_may_be_of_both_kinds():
    schedule = Schedule({"a": Phase(lr=1e-3), "b": Phase(lr=1e-3, size=WIDE)})
    assert schedule.sizes(64) == {64, WIDE}


def test_the_examples_hold():
    results = doctest.testmod(size)
    assert results.failed == 0 < results.attempted
