"""What is wrong with the pictures of a data set, by kind."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.sizes import Sides, enlargements

Rows = NDArray[np.int64]

# Pictures that are compared with all others at a time, and those that stand for all in a large set.
_BLOCK = 512
_SAMPLE = 2000
# The distance that two photos usually have, and how many of them a small set is given.
_USUAL = 1.0
_NUM_USUAL = 3

ALIKE = 0.42
"""Two pictures look the same if their distance is less than this share of the usual distance between
neighbours, of either of them. Pictures of a uniform set, such as solar cells, lie close together, but all of
them do: the nearest other one is at 0.85 or more. A copy that was saved anew is below 0.3, and two different
pictures of the demo are at 0.45 or more."""

NEIGHBOURS = 20
"""How many of the nearest others decide on the usual distance of a picture. More than half as many copies of
one picture, such as frames of a film, are taken for a uniform set."""

FARTHEST = 0.5
"""No pictures look the same from this distance on, where 0 is equal and 1.4 unrelated."""

TINY = 4
"""A picture is tiny if it is enlarged more than this many times."""


class Kind(NamedTuple):
    """A kind of problem: its name, and what it means for training."""

    title: str
    meaning: str


KINDS = {
    "broken": Kind(
        "Cannot be read",
        "Training stops at these, or skips them with data.on_error=skip: repair or remove them.",
    ),
    "contradiction": Kind(
        "Same picture, two labels", "One of the two labels is wrong: correct it, or remove both pictures."
    ),
    "leak": Kind(
        "Same picture in two splits",
        "The model is tested on pictures that it was trained on, so its scores are too good: keep one.",
    ),
    "duplicate": Kind(
        "Same picture twice", "It counts twice, and another split may turn it into a leak: keep one."
    ),
    "look_alike": Kind(
        "Looks nearly the same",
        "Perhaps one picture that was saved again, resized or cropped: look at both, above all where their "
        "labels or splits differ.",
    ),
    "tiny": Kind("Tiny", f"Enlarged more than {TINY} times to data.size: hardly any detail is left."),
    "animated": Kind("More than one frame", "Only the first frame is used."),
}
"""Most serious first."""

HINTS = ("look_alike",)
"""Kinds that are no faults, but worth a look."""


class Problem(NamedTuple):
    """One problem of one picture: a key of `KINDS`, its row in the table, and a sentence.

    `other` is the row of the picture that it repeats, or -1.
    """

    kind: str
    row: int
    other: int
    detail: str


class Twins(NamedTuple):
    """For each picture the row of the first one with the same pixels, and of the first that looks like it.

    Both are `[N]`, with -1 where there is none; `like` leaves out those with the same pixels.
    """

    same: Rows
    like: Rows


def find_twins(pixels: Sequence[bytes], appearances: Sequence[bytes]) -> Twins:
    """Find the pictures that repeat an earlier one.

    Args:
        pixels: hashes of the pixels; empty where unknown.
        appearances: 256 numbers each as float16, with length 1, as `appearance_of` gives them; empty where
            unknown.
    """
    same = _first_equal(pixels)
    # An exact copy is compared with the others through its original.
    unique = [each if first < 0 else b"" for each, first in zip(appearances, same, strict=True)]
    return Twins(same, _first_alike(unique))


def find_problems(pictures: pd.DataFrame, twins: Twins, size: Sides) -> list[Problem]:
    """Return all problems, in the order of `KINDS`, then in table order.

    `pictures` has a row per file: id, label, split, width, height, frames, fault; `size` is that in training.
    """
    splits, labels = (pictures[name].to_numpy(dtype=object) for name in ("split", "label"))
    same, like = np.flatnonzero(twins.same >= 0), np.flatnonzero(twins.like >= 0)
    firsts = twins.same[same]
    labelled = (labels[same] != "") & (labels[firsts] != "")
    leaks = splits[same] != splits[firsts]
    pairs = partial(_pairs, labels=labels, splits=splits)
    return [
        *_broken(pictures),
        *pairs("contradiction", same[labelled & (labels[same] != labels[firsts])], twins.same),
        *pairs("leak", same[leaks], twins.same),
        *pairs("duplicate", same[~leaks], twins.same),
        *pairs("look_alike", like, twins.like),
        *_tiny(pictures, size),
        *_animated(pictures),
    ]


def count_kinds(problems: Sequence[Problem]) -> dict[str, int]:
    """Count the problems by kind, in the order of `KINDS`; kinds without problems are left out."""
    found = [problem.kind for problem in problems]
    return {kind: found.count(kind) for kind in KINDS if kind in found}


def problem_table(problems: Sequence[Problem], ids: Sequence[str], paths: Sequence[str]) -> pd.DataFrame:
    """Return a row per problem: kind, id, path, other (the id of the picture that it repeats), detail."""
    rows = [
        (kind, ids[row], paths[row], ids[other] if other >= 0 else "", detail)
        for kind, row, other, detail in problems
    ]
    return pd.DataFrame(rows, columns=["kind", "id", "path", "other", "detail"], dtype="object")


def _first_equal(keys: Sequence[bytes]) -> Rows:
    """Return the first row with the same key, `[N]`; -1 for that first row itself and for an empty key."""
    firsts: dict[bytes, int] = {}
    found = [firsts.setdefault(key, row) if key else -1 for row, key in enumerate(keys)]
    return np.array([-1 if first == row else first for row, first in enumerate(found)], dtype=np.int64)


def _first_alike(appearances: Sequence[bytes]) -> Rows:
    """Return the first earlier row that looks the same, `[N]`, or -1."""
    first = np.full(len(appearances), -1, dtype=np.int64)
    known = np.flatnonzero([bool(each) for each in appearances])
    if not len(known):
        return first
    vectors = (
        np.frombuffer(b"".join(appearances), dtype=np.float16).reshape(len(known), -1).astype(np.float32)
    )
    limits = np.minimum(FARTHEST, ALIKE * usual_distances(vectors))
    for start in range(0, len(known), _BLOCK):
        block = vectors[start : start + _BLOCK]
        end = start + len(block)
        close = _distances(block, vectors[:end]) < np.minimum.outer(limits[start:end], limits[:end])
        # Earlier ones alone.
        close &= np.arange(end)[None, :] < np.arange(start, end)[:, None]
        found = np.flatnonzero(close.any(axis=1))
        first[known[start + found]] = known[close[found].argmax(axis=1)]
    return first


def usual_distances(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median distance of each of some vectors of length 1 `[N, D]` to its nearest others, `[N]`.

    In a set of a few pictures some distances that photos usually have count as well.
    """
    chosen = np.unique(np.linspace(0, max(0, len(vectors) - 1), _SAMPLE).round().astype(np.int64))
    usual = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        distances = _distances(block, vectors[chosen])
        # Not its distance to itself.
        distances[np.arange(start, start + len(block))[:, None] == chosen[None, :]] = np.inf
        padded = np.hstack([distances, np.full((len(block), _NUM_USUAL), _USUAL, dtype=np.float32)])
        nearest = np.sort(padded, axis=1)[:, :NEIGHBOURS]
        finite = np.where(np.isinf(nearest), np.nan, nearest)
        usual[start : start + len(block)] = np.nanmedian(finite, axis=1)
    return usual


def _distances(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distances `[N, M]` between vectors of length 1."""
    squares: NDArray[np.float32] = 2 - 2 * (some @ others.T)
    return np.sqrt(np.maximum(squares, 0))


def _broken(pictures: pd.DataFrame) -> Iterator[Problem]:
    faults = pictures["fault"].to_numpy(dtype=object)
    for row in np.flatnonzero(faults != ""):
        yield Problem("broken", int(row), -1, f"{faults[row][:1].upper()}{faults[row][1:]}.")


def _tiny(pictures: pd.DataFrame, size: Sides) -> Iterator[Problem]:
    width, height = (pictures[name].to_numpy(dtype=np.int64) for name in ("width", "height"))
    enlarged = enlargements(width, height, size)
    for row in np.flatnonzero((pictures["fault"] == "").to_numpy() & (enlarged > TINY)):
        times = f"{enlarged[row]:.1f}".removesuffix(".0")
        detail = f"{width[row]} x {height[row]} pixels, enlarged {times} times to data.size={size}."
        yield Problem("tiny", int(row), -1, detail)


def _animated(pictures: pd.DataFrame) -> Iterator[Problem]:
    frames = pictures["frames"].to_numpy(dtype=np.int64)
    for row in np.flatnonzero((frames > 1) & (pictures["fault"] == "").to_numpy()):
        yield Problem("animated", int(row), -1, f"{frames[row]:,} frames, only the first is used.")


def _pairs(
    kind: str, rows: Rows, firsts: Rows, labels: NDArray[np.object_], splits: NDArray[np.object_]
) -> Iterator[Problem]:
    for row, other in zip(rows.tolist(), firsts[rows].tolist(), strict=True):
        if kind == "contradiction":
            detail = f"Labelled {labels[row]} here and {labels[other]} there."
        elif splits[row] == splits[other]:
            detail = f"Both in {splits[row]}."
        else:
            detail = f"This one in {splits[row]}, the other in {splits[other]}."
        if kind == "look_alike":
            detail = f"{_labels(labels[row], labels[other])}{detail}"
        yield Problem(kind, row, other, detail)


def _labels(label: str, other: str) -> str:
    if not label or not other:
        return ""
    return f"Both labelled {label}. " if label == other else f"Labelled {label} here and {other} there. "
