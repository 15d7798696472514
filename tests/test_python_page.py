"""Every block of Python in docs/python.md and in the README runs, in the order of the page."""

import re
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import imageclf

ROOT = Path(__file__).parents[1]
BLOCKS = {
    name: re.findall(r"```(python|output)\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
    for name in ("docs/python.md", "README.md")
}
# Made small, but otherwise as the pages have them.
SMALL = {
    "model.backbone": "test_efficientnet",
    "model.weights": "none",
    "data.size": 32,
    "data.num_workers": 0,
    "callbacks.lr_finder.num_steps": 4,
    "trainer.accelerator": "cpu",
}


@pytest.fixture
def laid_out(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put pictures where the pages name them, and go there."""
    shutil.copytree(pictures, tmp_path / "photos")
    (tmp_path / "new").mkdir()
    # The bytes are PNG whatever the suffix; what reads them looks at the bytes.
    shutil.copy(pictures / "red/0.png", tmp_path / "new/1.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_pages_hold_blocks_of_python() -> None:
    counts = {name: [kind for kind, _ in blocks].count("python") for name, blocks in BLOCKS.items()}
    assert counts == {"docs/python.md": 9, "README.md": 1}


@pytest.mark.long
@pytest.mark.parametrize("page", BLOCKS)
def test_every_block_runs_and_prints_what_the_page_shows(page: str, laid_out: Path) -> None:
    namespace: dict[str, Any] = {"SMALL": SMALL}
    printed = ""
    for kind, block in BLOCKS[page]:
        if kind == "output":
            assert printed == block
            continue
        said = StringIO()
        with redirect_stdout(said):
            exec(block.replace("imageclf.train(", "imageclf.train(SMALL, "), namespace)
        printed = said.getvalue()
    run = namespace["run"]
    assert isinstance(run, imageclf.Run)
    assert (laid_out / "runs/photos/summary.json").is_file()


def test_the_page_names_what_a_run_offers() -> None:
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    offered = [name for name in dir(imageclf.Run) if not name.startswith("_")]
    assert len(offered) > 6
    assert [name for name in offered if f"run.{name}" not in page] == []
