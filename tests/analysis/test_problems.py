from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from copies import copied, solar_cells

from imageclf.analysis.problems import KINDS, count_kinds, find_problems, find_twins, problem_table
from imageclf.data import read_picture
from imageclf.data.pictures.inspect import appearance_of


def look(seed):
    vector = np.random.default_rng(seed).normal(size=256)
    return (vector / np.linalg.norm(vector)).astype(np.float16).tobytes()


LOOK, OTHER = look(0), look(1)
STAMPS = sorted((Path(__file__).parents[2] / "data/stamps").glob("*/*.jpg"))


def table(**columns):
    """Return sound training pictures of one class, 300 x 200 pixels, but for the columns given."""
    count = len(next(iter(columns.values())))
    plain = {"label": "cat", "split": "train", "width": 300, "height": 200, "frames": 1, "fault": ""}
    return pd.DataFrame({name: columns.get(name, [value] * count) for name, value in plain.items()})


def problems(pictures, pixels=None, appearances=None, size=224):
    keys = [str(row).encode() for row in range(len(pictures))]
    return find_problems(pictures, find_twins(pixels or keys, appearances or [b""] * len(pictures)), size)


def found(*arguments, **options):
    """Return (kind, row, other) of all problems."""
    return [each[:3] for each in problems(*arguments, **options)]


def test_a_picture_repeats_the_first_with_the_same_pixels():
    assert find_twins([b"a", b"b", b"a", b"a"], [b""] * 4).same.tolist() == [-1, -1, 0, 0]


def test_pictures_without_a_hash_repeat_nothing():
    twins = find_twins([b"", b""], [b"", b""])
    assert (twins.same.tolist(), twins.like.tolist()) == ([-1, -1], [-1, -1])


def test_a_picture_looks_like_the_first_with_the_same_look():
    assert find_twins([b"a", b"b", b"c", b"d"], [LOOK, OTHER, LOOK, LOOK]).like.tolist() == [-1, -1, 0, 0]


@pytest.fixture(scope="module")
def stamps():
    return [read_picture(path) for path in STAMPS[::2]]


def alike(pictures):
    """Return the pairs of rows that look the same."""
    appearances = [appearance_of(picture) for picture in pictures]
    like = find_twins([str(row).encode() for row in range(len(appearances))], appearances).like
    return {(row, int(other)) for row, other in enumerate(like) if other >= 0}


def precision_and_recall(pictures, **how):
    """Return both for copies of every fourth picture, which stand behind all of them."""
    chosen = range(0, len(pictures), 4)
    found = alike([*pictures, *(copied(pictures[row], **how) for row in chosen)])
    true = {(len(pictures) + place, row) for place, row in enumerate(chosen)}
    return len(found & true) / max(1, len(found)), len(found & true) / len(true)


SAVED_ANEW = [{}, {"quality": 40}, {"scale": 0.5}, {"scale": 2.0}]


def test_no_two_stamps_look_the_same(stamps):
    assert len(stamps) > 100
    assert alike(stamps) == set()


@pytest.mark.parametrize("how", SAVED_ANEW)
def test_stamps_that_were_saved_anew_or_resized_are_found(how, stamps):
    precision, recall = precision_and_recall(stamps, **how)
    assert precision == 1
    assert recall > 0.95


@pytest.mark.parametrize(("crop", "least"), [(0.01, 0.9), (0.02, 0.8)])
def test_stamps_that_were_slightly_cropped_are_found(crop, least, stamps):
    precision, recall = precision_and_recall(stamps, crop=crop)
    assert precision == 1
    assert recall > least


@pytest.mark.parametrize("count", [8, 40, 200])
def test_no_two_cells_of_a_uniform_set_look_the_same(count):
    assert alike(solar_cells(count)) == set()


@pytest.mark.parametrize("how", SAVED_ANEW)
def test_copies_are_found_among_uniform_cells(how):
    assert precision_and_recall(solar_cells(100), **how) == (1, 1)


def test_two_kinds_of_uniform_cells_are_no_copies_of_each_other(stamps):
    darker = [255 - cell for cell in solar_cells(50, seed=1)]
    assert alike([*solar_cells(50), *darker, *stamps[:50]]) == set()


def test_a_copy_is_found_in_a_set_of_two(stamps):
    assert alike([stamps[0], copied(stamps[0])]) == {(1, 0)}


def test_of_several_copies_each_repeats_the_first(stamps):
    copies = [copied(stamps[0], quality) for quality in (90, 70, 50)]
    assert alike([*copies, *stamps[1:30]]) == {(1, 0), (2, 0)}


def test_the_same_pairs_are_found_whatever_the_size_of_the_blocks(stamps, monkeypatch):
    pictures = [*stamps[:30], *map(copied, stamps[:5])]
    whole = alike(pictures)
    monkeypatch.setattr("imageclf.analysis.problems._BLOCK", 7)
    assert alike(pictures) == whole == {(30 + row, row) for row in range(5)}


def test_an_identical_picture_is_not_said_to_look_the_same():
    twins = find_twins([b"a", b"a", b"b"], [LOOK, LOOK, LOOK])
    assert (twins.same.tolist(), twins.like.tolist()) == ([-1, 0, -1], [-1, -1, 0])


def test_no_pictures_have_no_twins():
    assert [len(rows) for rows in find_twins([], [])] == [0, 0]


def test_a_sound_data_set_has_no_problems():
    assert problems(table(label=["cat", "dog"])) == []


def test_a_picture_that_cannot_be_read_is_named_with_its_fault():
    (only,) = problems(table(fault=["", "not a picture"], width=[300, 0], height=[200, 0], frames=[1, 0]))
    assert only == ("broken", 1, -1, "Not a picture.")


def test_the_same_picture_twice_in_a_split_is_a_duplicate():
    (only,) = problems(table(label=["cat", "cat"]), pixels=[b"a", b"a"])
    assert only == ("duplicate", 1, 0, "Both in train.")


@pytest.mark.parametrize("splits", [("train", "valid"), ("valid", "train"), ("train", "test")])
@pytest.mark.fault(
    "Folders and tables",
    "The same picture is in training and validation",
    "`imageclf-analyse` lists it as a leak",
)
def test_the_same_picture_in_two_splits_is_a_leak(splits):
    (only,) = problems(table(split=list(splits)), pixels=[b"a", b"a"])
    assert only == ("leak", 1, 0, f"This one in {splits[1]}, the other in {splits[0]}.")


def test_a_leak_is_found_behind_a_duplicate():
    pictures = table(split=["train", "train", "valid"])
    assert found(pictures, pixels=[b"a"] * 3) == [("leak", 2, 0), ("duplicate", 1, 0)]


@pytest.mark.fault(
    "Folders and tables", "The same picture has two labels", "`imageclf-analyse` lists it as a contradiction"
)
def test_the_same_picture_with_two_labels_is_a_contradiction_besides():
    pictures = table(label=["cat", "dog"])
    assert [each[::3] for each in problems(pictures, pixels=[b"a", b"a"])] == [
        ("contradiction", "Labelled dog here and cat there."),
        ("duplicate", "Both in train."),
    ]


def test_a_picture_without_a_label_contradicts_nothing():
    pictures = table(label=["cat", ""], split=["train", "test"])
    assert found(pictures, pixels=[b"a", b"a"]) == [("leak", 1, 0)]


def test_pictures_that_look_the_same_are_told_with_their_splits():
    pictures = table(split=["train", "train", "valid"])
    details = [each.detail for each in problems(pictures, appearances=[LOOK, LOOK, LOOK])]
    assert details == [
        "Both labelled cat. Both in train.",
        "Both labelled cat. This one in valid, the other in train.",
    ]


def test_pictures_that_look_the_same_are_told_with_labels_that_differ():
    (only,) = problems(table(label=["cat", "dog"]), appearances=[LOOK, LOOK])
    assert only.detail == "Labelled dog here and cat there. Both in train."


def test_a_picture_enlarged_more_than_four_times_is_tiny():
    pictures = table(width=[300, 300, 55], height=[56, 55, 300])
    assert found(pictures) == [("tiny", 1, -1), ("tiny", 2, -1)]


def test_a_tiny_picture_is_told_by_how_much_it_is_enlarged():
    (only,) = problems(table(width=[40], height=[20]), size=100)
    assert only.detail == "40 x 20 pixels, enlarged 5 times to data.size=100."


def test_an_animation_is_told_with_its_frames():
    (only,) = problems(table(frames=[1, 1200]))
    assert only == ("animated", 1, -1, "1,200 frames, only the first is used.")


def test_problems_come_in_the_order_of_their_kinds():
    pictures = table(
        fault=["", "", "", "", "", "cut short"],
        frames=[2, 1, 1, 1, 1, 1],
        width=[300, 20, 300, 300, 300, 300],
        label=["cat", "cat", "dog", "cat", "cat", "cat"],
        split=["train", "train", "train", "train", "valid", "train"],
    )
    pixels = [b"a", b"b", b"a", b"a", b"a", b""]
    kinds = list(
        dict.fromkeys(kind for kind, *_ in found(pictures, pixels, [LOOK, LOOK, OTHER, b"", b"", b""]))
    )
    assert kinds == list(KINDS)


def test_kinds_that_do_not_occur_are_not_counted():
    counts = count_kinds(problems(table(frames=[1, 2, 3], fault=["cut short", "", ""])))
    assert list(counts.items()) == [("broken", 1), ("animated", 2)]


def test_a_problem_is_a_row_with_the_ids_of_both_pictures():
    rows = problem_table(problems(table(label=["cat", "cat"]), pixels=[b"a", b"a"]), ["1", "2"], ["/1", "/2"])
    assert rows.to_dict("records") == [
        {"kind": "duplicate", "id": "2", "path": "/2", "other": "1", "detail": "Both in train."}
    ]


def test_no_problems_are_a_table_with_a_header():
    assert list(problem_table([], [], []).columns) == ["kind", "id", "path", "other", "detail"]


def test_every_kind_is_explained_in_a_sentence():
    assert all(kind.title and kind.meaning.endswith(".") for kind in KINDS.values())
