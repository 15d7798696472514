"""docs/architecture.md speaks of folders, files and functions that are there, and leaves no folder out."""

import ast
import re
from pathlib import Path

import pytest

from test_architecture import FLOORS, MODULES, SOURCE

PAGE = (Path(__file__).parents[1] / "docs/architecture.md").read_text(encoding="utf-8")
FOLDERS = dict(re.findall(r"^\| `([a-z_/]+)/` \| (\d) \|", PAGE, re.MULTILINE))
FILES = sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", PAGE)))
# | what happens | `file`, `file` | `function`, `function` |
JOURNEYS = re.findall(
    r"^\| .* \| (`[a-z_/]+\.py`.*) \| (`.*`) \|$", PAGE.partition("## Who owns")[0], re.MULTILINE
)
STEPS = [
    (path, name)
    for paths, names in JOURNEYS
    for path, name in zip(re.findall(r"`(.+?)`", paths), re.findall(r"`(.+?)`", names), strict=True)
]


def defined_in(path: Path) -> set[str]:
    """Return the functions, classes and methods (Class.method) of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return names


def test_the_tree_lists_every_folder_of_the_source():
    folders = {path.parent.relative_to(SOURCE).as_posix() for path in MODULES.values()} - {"."}
    assert len(folders) > 15
    assert set(FOLDERS) == folders


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_a_folder_stands_on_its_floor(folder):
    assert FOLDERS[folder] == str(FLOORS[folder.split("/")[0]])


@pytest.mark.parametrize("path", FILES)
def test_a_file_that_the_page_names_exists(path):
    assert (SOURCE / path).is_file() or (SOURCE.parents[1] / path).is_file()


def test_the_page_follows_a_picture_and_a_learning_rate():
    assert len(STEPS) > 15


@pytest.mark.parametrize(("path", "name"), STEPS)
def test_a_step_of_a_journey_is_a_function_of_that_file(path, name):
    assert name in defined_in(SOURCE / path)
