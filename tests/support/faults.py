"""The faults that tests provoke, read off their markers: `python tests/support/faults.py` writes the page.

A test is marked by `@pytest.mark.fault(AREA, "what goes wrong", "what happens")`, as plain text in the
decorator; the marked test itself is the third column.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: written by tests/support/faults.py -->\n", "<!-- end of faults -->\n"
AREAS = (
    "Pictures",
    "Folders and tables",
    "Splits, batches and metrics",
    "Losses and weights",
    "Kills, signals and disks",
    "Going on",
    "Caches",
    "Several processes and clusters",
    "Files of strangers",
    "Configs and secrets",
    "Terminals, paths and networks",
)


class Fault(NamedTuple):
    """A row of the page: `test` is the node id of the test that provokes the fault."""

    area: str
    fault: str
    outcome: str
    test: str


def faults() -> list[Fault]:
    """Return the faults of all tests, by area, in the order of the files."""
    found = [fault for path in sorted(TESTS.rglob("test_*.py")) for fault in faults_of(path)]
    return sorted(found, key=lambda each: AREAS.index(each.area))


def faults_of(path: Path) -> Iterator[Fault]:
    """Yield the faults of a file, without importing it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                test = f"{path.relative_to(TESTS.parent)}::{getattr(node, 'name', '')}"
                yield Fault(*(ast.literal_eval(each) for each in decorator.args), test)


def table() -> str:
    """Return the faults as Markdown."""
    every = faults()
    parts = []
    for area in AREAS:
        rows = [
            f"| {each.fault} | {each.outcome} | [`{name}`](../{file}) |"
            for each in every
            if each.area == area
            for file, name in [each.test.split("::")]
        ]
        parts.append(
            "\n".join([f"### {area}\n", "| what goes wrong | what happens | test |", "|---|---|---|", *rows])
        )
    return "\n\n".join(parts) + "\n"


def page() -> str:
    """Return the page as it is to be: its own words, and the faults of now."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
