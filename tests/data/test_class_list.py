"""Labels that are merged or left out, and the order of those that stay, on the demo's pictures."""

import logging
from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.data import ClassList, FolderSource, make_table
from imageclf.tasks import Multilabel

STAMPS = Path(__file__).parents[2] / "data" / "stamps"
COUNTS = {each.name: len(list(each.glob("*.*"))) for each in STAMPS.iterdir() if each.is_dir()}


@pytest.fixture(scope="module")
def stamps():
    return FolderSource(str(STAMPS), train=".", valid=None, test=None).read()


@pytest.fixture
def mosaics():
    """Return a table of pictures with several labels."""
    columns = {"id": list("abcd"), "path": list("abcd"), "label": ["cat|dog", "dog|emu", "", "emu"]}
    return make_table(columns, Multilabel())


def counts(table):
    numbers = table.class_counts("")
    return dict(zip(table.classes, numbers.tolist(), strict=True))


def test_without_any_choice_the_table_is_as_it_was(stamps):
    assert ClassList().apply(stamps) is stamps
    assert ClassList(relabel={}, ignore=[]).apply(stamps) is stamps


def test_chosen_classes_are_in_the_order_given_and_the_log_counts_the_others(stamps, caplog):
    caplog.set_level(logging.INFO)
    found = ClassList(classes=["plants", "birds", "food", "objects"]).apply(stamps)
    assert list(counts(found).items()) == [(name, COUNTS[name]) for name in found.classes]
    assert found.classes == ("plants", "birds", "food", "objects")
    left_out = COUNTS["mammals"] + COUNTS["vehicles"]
    assert f"data.classes: {left_out} pictures labelled 'mammals' or 'vehicles' are left out" in caplog.text


def test_an_order_of_all_classes_leaves_nothing_out(stamps, caplog):
    caplog.set_level(logging.INFO)
    found = ClassList(classes=sorted(COUNTS, reverse=True)).apply(stamps)
    assert counts(found) == COUNTS
    assert "left out" not in caplog.text


def test_labels_are_merged_under_their_new_name(stamps):
    found = ClassList(relabel={"birds": "animals", "mammals": "animals"}).apply(stamps)
    assert found.classes == ("animals", "food", "objects", "plants", "vehicles")
    assert counts(found)["animals"] == COUNTS["birds"] + COUNTS["mammals"]


def test_two_labels_may_change_places(stamps):
    found = counts(ClassList(relabel={"birds": "food", "food": "birds"}).apply(stamps))
    assert (found["food"], found["birds"]) == (COUNTS["birds"], COUNTS["food"])


def test_pictures_with_an_ignored_label_are_left_out(stamps):
    found = ClassList(ignore="objects").apply(stamps)
    assert counts(found) == {name: number for name, number in COUNTS.items() if name != "objects"}
    assert len(found) == sum(COUNTS.values()) - COUNTS["objects"]


def test_what_is_ignored_and_chosen_has_its_new_name(stamps):
    merged = {"birds": "pets", "food": "unsure", "objects": "unsure"}
    found = ClassList(["pets", "plants"], merged, ["unsure"]).apply(stamps)
    assert counts(found) == {"pets": COUNTS["birds"], "plants": COUNTS["plants"]}


def test_a_name_may_be_a_number():
    rows = {"id": list("abc"), "path": list("abc"), "label": ["1", "2", "3"]}
    found = ClassList(classes=[3, 1], relabel={2: 1}).apply(make_table(rows))
    assert counts(found) == {"3": 1, "1": 2}


def test_of_several_labels_only_the_others_are_taken_away(mosaics, caplog):
    caplog.set_level(logging.INFO)
    found = ClassList(classes=["emu", "dog"]).apply(mosaics)
    assert found.frame["label"].tolist() == ["dog", "dog|emu", "", "emu"]
    assert found.labels.tolist() == [[0, 1], [1, 1], [0, 0], [1, 0]]
    assert "data.classes: 'cat' taken away from the labels of 1 picture" in caplog.text


def test_of_several_labels_those_that_become_one_count_once(mosaics):
    found = ClassList(relabel={"cat": "pet", "dog": "pet"}).apply(mosaics)
    assert found.frame["label"].tolist() == ["pet", "emu|pet", "", "emu"]


def test_a_picture_is_left_out_if_any_of_its_labels_is_ignored(mosaics):
    assert ClassList(ignore="cat").apply(mosaics).ids == ["b", "c", "d"]


def test_a_label_that_only_ignored_pictures_have_is_no_class(mosaics):
    with pytest.raises(InputError, match=r"data\.classes: no picture is labelled 'cat'; the classes are"):
        ClassList(classes=["cat", "emu"], ignore="dog").apply(mosaics)


def test_spaces_around_a_new_name_do_not_count(stamps):
    assert "pets" in ClassList(relabel={"mammals": " pets "}).apply(stamps).classes


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"classes": ["plants", "brids"]}, r"classes: no picture is labelled 'brids'; did you mean 'birds'"),
        ({"relabel": {"zebra": "x"}}, r"relabel: no picture is labelled 'zebra'; the classes are 'birds',"),
        ({"ignore": "plant"}, r"data\.ignore: no picture is labelled 'plant'; did you mean 'plants'"),
        ({"classes": ["plants"]}, r"leave 'plants': a classifier needs two classes or more"),
        ({"ignore": list(COUNTS)}, r"leave no class: a classifier needs two classes or more"),
        ({"classes": ["plants", "plants"]}, r"data\.classes=.* 'plants' is listed twice"),
        ({"relabel": {"birds": None}}, r"relabel: birds: null: give the new name .* data\.ignore=birds"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(stamps, choice, message):
    with pytest.raises(InputError, match=message):
        ClassList(**choice).apply(stamps)
