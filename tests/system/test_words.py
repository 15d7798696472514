"""Words that go by a number."""

import doctest

import pytest

from imageclf.system import words
from imageclf.system.words import counted, first_line, score_digits


def test_the_examples_in_the_docstrings_hold():
    failed, attempted = doctest.testmod(words)
    assert attempted
    assert not failed


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 pictures hold"), (1, "1 picture holds"), (2, "2 pictures hold")]
)
def test_a_plural_of_its_own_is_taken_for_all_numbers_but_one(number, said):
    assert counted(number, "picture holds", "pictures hold") == said


@pytest.mark.parametrize(
    ("score", "said"),
    [
        *((0.0, "0.0000"), (-0.5, "-0.5000"), (9.5, "9.5000"), (12.3456, "12.35"), (1234.5678, "1235")),
        *((999.96, "1000"), (0.00012, "0.0001200"), (-1.2e-7, "-1.200e-07"), (float("nan"), "nan")),
    ],
)
def test_a_score_has_four_decimals_or_the_four_digits_that_matter(score, said):
    assert score_digits(score) == said


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("one\ntwo"), "one"), (ValueError(" \n four "), "four"), (UserWarning(""), "UserWarning")],
)
def test_a_long_reason_is_cut_to_its_first_line(error, line):
    assert first_line(error) == line
