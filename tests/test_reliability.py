"""docs/reliability.md lists the faults that tests provoke, as their markers have them."""

from faults import AREAS, PAGE, faults, page


def test_the_page_is_what_the_markers_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/support/faults.py"


def test_every_area_has_faults():
    assert {each.area for each in faults()} == set(AREAS)
    assert len(faults()) > 100


def test_a_fault_is_told_in_cells_of_a_table():
    texts = [text for fault in faults() for text in fault]
    assert [text for text in texts if not text or text != text.strip() or set(text) & set("|\n")] == []


def test_no_fault_is_told_twice():
    told = [each.fault for each in faults()]
    assert sorted(set(told)) == sorted(told)
