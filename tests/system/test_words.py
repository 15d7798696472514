"""Words that go by a number."""

import doctest

import pytest

from imageclf.system import words
from imageclf.system.words import counted


def test_the_examples_in_the_docstrings_hold():
    failed, attempted = doctest.testmod(words)
    assert attempted
    assert not failed


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 pictures hold"), (1, "1 picture holds"), (2, "2 pictures hold")]
)
def test_a_plural_of_its_own_is_taken_for_all_numbers_but_one(number, said):
    assert counted(number, "picture holds", "pictures hold") == said
