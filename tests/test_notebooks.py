"""Every notebook runs from its first cell to its last, and is committed without outputs."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_the_notebooks_are_those_that_the_page_lists() -> None:
    page = (Path(__file__).parents[1] / "docs/python.md").read_text(encoding="utf-8")
    assert re.findall(r"\| `notebooks/(\S+)` \|", page) == [path.name for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert len(cells) > 3
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.fixture(scope="module")
def stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every third of the pictures that the notebooks are written for."""
    folder = tmp_path_factory.mktemp("notebooks") / "stamps"
    for picture in sorted((ROOT / "data/stamps").glob("*/*.jpg"))[::3]:
        copy = folder / picture.relative_to(ROOT / "data/stamps")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, copy)
    return folder


def execute(cells: list[str], folder: Path, target: Path) -> list[list[Any]]:
    """Execute cells of code by the installed wheel, in a kernel of its own; return the outputs of each."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources)
    client.execute(env=os.environ | {"PYTHONPATH": str(target)})
    return [cell.outputs for cell in notebook.cells]


def printed(outputs: list[Any], stream: str) -> str:
    return "".join(each.text for each in outputs if each.output_type == "stream" and each.name == stream)


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_in_an_empty_folder_and_warns_of_nothing(
    path: Path, tmp_path: Path, target: Path, stamps: Path
) -> None:
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    # As the notebooks say, with the path of a folder: the wheel has no pictures.
    with_path = [re.sub(r'(?<=")stamps(?=")|(?<=data=)stamps', str(stamps), cell) for cell in cells]
    assert with_path != cells
    outputs = execute(with_path, tmp_path, target)
    assert [printed(each, "stderr") for each in outputs] == [""] * len(cells)
    # Each cell but the first, which imports, shows something.
    assert [number for number, each in enumerate(outputs) if not each] == [0]
    # A command after `!` fails without an error of the cell.
    assert [each for each in outputs if "imageclf: " in printed(each, "stdout")] == []


@pytest.mark.long
def test_a_training_in_a_notebook_shows_one_line_and_its_messages(
    tmp_path: Path, target: Path, tiny: list[str]
) -> None:
    train = f"run = imageclf.train(*{tiny!r}, '~callbacks.report', run_dir='run')\nrun"
    patience = "from imageclf.system import progress\nprogress.PATIENCE = progress.REFRESH = 0.0"
    *_, outputs = execute(["import imageclf", patience, train], tmp_path, target)
    assert "epoch   0  head" in printed(outputs, "stdout")
    assert printed(outputs, "stderr") == ""
    # The line, emptied, and the run itself.
    shown = [each.data for each in outputs if each.output_type in ("display_data", "execute_result")]
    assert shown[0] == {"text/plain": ""}
    assert [set(each) for each in shown[1:]] == [{"text/plain", "text/html"}]
    assert (tmp_path / "run/config_tree.log").read_text().startswith("config\n")
