from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from imageclf.configs.keys import accepts, describe

Rate = float | Sequence[float] | Literal["auto"]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 3),
        (float, 3),
        (float, 1e-3),
        (bool, False),
        (str, "hub"),
        (str, ""),
        (None, None),
        (int | None, None),
        (int | None, 7),
        (Literal["crop", "pad"], "pad"),
        (Literal["crop"] | None, None),
        (Sequence[float], [1, 0.5]),
        (list[int], []),
        (tuple[float, ...], (0.5, 1)),
        (Mapping[str, Any], {"a": 1}),
        (dict[str, int], {}),
        (Rate, "auto"),
        (Rate, [1e-4, 1e-3]),
        (str | int, -1),
        (Any, object()),
        (Path, "not understood, so anything goes"),
    ],
)
def test_a_value_fits_its_annotation(annotation, value):
    assert accepts(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 3.0),
        (int, "3"),
        (int, True),
        (int, None),
        (float, "1e-3"),
        (float, False),
        (bool, 1),
        (bool, "true"),
        (str, 3),
        (str, None),
        (int | None, "null"),
        (Literal["crop", "pad"], "crp"),
        (Literal["crop"], None),
        (Sequence[float], "auto"),
        (Sequence[float], 0.1),
        (list[int], [1, 2.5]),
        (Mapping[str, Any], [1]),
        (Mapping[str, Any], None),
        (Rate, "valley"),
        (Rate, ["auto"]),
        (Rate, None),
    ],
)
def test_a_value_does_not_fit_its_annotation(annotation, value):
    assert not accepts(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (int, "a whole number"),
        (float, "a number"),
        (bool, "true or false"),
        (str, "text"),
        (int | None, "a whole number or null"),
        (Literal["crop", "squish", "pad"], "crop, squish or pad"),
        (Literal["probabilities", "labels"] | None, "probabilities, labels or null"),
        (Literal["auto", "on", "off"], "auto, 'on' or 'off'"),
        (Sequence[float], "a list (of a number)"),
        (Rate, "a number, a list (of a number) or auto"),
        (Mapping[str, Any], "a mapping"),
        (Path, "Path"),
    ],
)
def test_an_annotation_is_put_into_words(annotation, words):
    assert describe(annotation) == words
