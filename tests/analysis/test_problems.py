from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imageclf.analysis import KINDS, count_kinds, find_problems, find_twins
from imageclf.analysis.problems import problem_table
from imageclf.data import read_picture
from imageclf.data.pictures.inspect import hash_look

LOOK, OTHER = np.random.default_rng(0).bytes(32), np.random.default_rng(1).bytes(32)


def table(**columns):
    """Return sound training pictures of one class, 300 x 200 pixels, but for the columns given."""
    count = len(next(iter(columns.values())))
    plain = {"label": "cat", "split": "train", "width": 300, "height": 200, "frames": 1, "fault": ""}
    return pd.DataFrame({name: columns.get(name, [value] * count) for name, value in plain.items()})


def problems(pictures, pixels=None, looks=None, size=224):
    keys = [str(row).encode() for row in range(len(pictures))]
    return find_problems(pictures, find_twins(pixels or keys, looks or [b""] * len(pictures)), size)


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


@pytest.mark.parametrize(("flipped", "alike"), [(1, True), (8, True), (9, False), (40, False)])
def test_looks_may_differ_in_eight_bits(flipped, alike):
    bits = np.unpackbits(np.frombuffer(LOOK, dtype=np.uint8))
    bits[64 : 64 + flipped] ^= 1
    twins = find_twins([b"a", b"b"], [LOOK, np.packbits(bits).tobytes()])
    assert twins.like.tolist() == [-1, 0 if alike else -1]


def test_surfaces_that_are_flat_in_part_are_not_alike_for_that():
    flat = [bytes(24) + bytes([number]) * 8 for number in (0b01010101, 0b10101010)]
    assert find_twins([b"a", b"b"], flat).like.tolist() == [-1, -1]


def test_saving_a_stamp_anew_leaves_it_alike_and_two_stamps_are_not(tmp_path):
    stamps = sorted((Path(__file__).parents[2] / "data/stamps").glob("*/*.jpg"))[::5]
    assert len(stamps) > 30
    looks = [hash_look(read_picture(path)) for path in stamps]
    again = [hash_look(read_picture(saved_anew(path, tmp_path / "anew.jpg"))) for path in stamps]
    keys = [str(number).encode() for number in range(2 * len(stamps))]
    like = find_twins(keys, [*looks, *again]).like
    assert (like[: len(stamps)] == -1).all()
    known = np.array([bool(look) for look in looks])
    assert (like[len(stamps) :] == np.arange(len(stamps)))[known].mean() > 0.95


def saved_anew(path, target):
    """Save a picture as a JPEG of quality 90."""
    Image.fromarray(read_picture(path)).save(target, "JPEG", quality=90)
    return target


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
def test_the_same_picture_in_two_splits_is_a_leak(splits):
    (only,) = problems(table(split=list(splits)), pixels=[b"a", b"a"])
    assert only == ("leak", 1, 0, f"This one in {splits[1]}, the other in {splits[0]}.")


def test_a_leak_is_found_behind_a_duplicate():
    pictures = table(split=["train", "train", "valid"])
    assert found(pictures, pixels=[b"a"] * 3) == [("leak", 2, 0), ("duplicate", 1, 0)]


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
    details = [each.detail for each in problems(pictures, looks=[LOOK, LOOK, LOOK])]
    assert details == ["Both in train.", "This one in valid, the other in train."]


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
