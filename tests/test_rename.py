"""`make rename` makes a clone a package of another name, which trains and passes tests."""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / ".ci/rename.py"))
# Quick ones that read the source, the pages and pyproject.toml.
TESTS = ("test_architecture.py", "test_versions.py", "schedule/test_phase.py")


def git(folder: Path, *words: str) -> str:
    """Return what git prints in a folder."""
    named = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    return subprocess.run(
        ["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout


def rename(clone: Path, name: str) -> "subprocess.CompletedProcess[str]":
    """Call the script as make does."""
    command = [sys.executable, ".ci/rename.py", name]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of one commit with this one's files as they are now."""
    folder = tmp_path_factory.mktemp("clone")
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=All")
    return folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "give a name for a package of Python, such as blossom"),
        ("my-net", "give a name for a package of Python"),
        ("Blossom", "give a name for a package of Python"),
        ("import", "give a name for a package of Python"),
        ("json", "a package of that name is installed; give another name"),
        ("petals", "uses this word for something else; give another name"),
        ("class_balance", "uses this word for something else; give another name"),
    ],
)
def test_a_name_that_would_break_the_code_is_refused(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit, match=said):
        SCRIPT["check"](name)


def test_each_spelling_of_the_old_name_becomes_that_of_the_new_one() -> None:
    text = "imageclf.train, imageclf-train, IMAGECLF_CORES, ImageclfLauncher"
    assert SCRIPT["renamed"](text, "my_net") == "my_net.train, my_net-train, MY_NET_CORES, MyNetLauncher"


def test_the_page_names_all_that_is_removed() -> None:
    page = (ROOT / "docs/project.md").read_text(encoding="utf-8")
    assert [path for path in SCRIPT["REMOVED"] if path not in page or not (ROOT / path).exists()] == []


@pytest.mark.long
def test_a_work_tree_with_changes_is_left_alone(clone: Path) -> None:
    (clone / "mine.py").write_text("")
    done = rename(clone, "blossom")
    (clone / "mine.py").unlink()
    assert done.returncode != 0
    assert "the work tree has changes; commit them first" in done.stderr
    assert git(clone, "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def renamed(clone: Path) -> Path:
    """Return the repository under another name."""
    done = rename(clone, "blossom")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "git checkout --force main" in done.stdout
    return clone


@pytest.fixture(scope="module")
def environment(renamed: Path) -> dict[str, str]:
    """Return the environment in which the renamed package is found, and the old one is not."""
    outside = [each for each in sys.path if each and not Path(each).is_relative_to(ROOT / "src")]
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(renamed / "src"), *outside])}


@pytest.mark.long
def test_the_old_name_is_left_only_where_it_belongs(renamed: Path) -> None:
    found = git(renamed, "grep", "--cached", "-i", "--files-with-matches", "imageclf").splitlines()
    assert found == ["LICENSE", "README.md", "docs/changelog.md"]
    assert list((renamed / "src").rglob("*imageclf*")) == []
    assert [path for path in SCRIPT["REMOVED"] if (renamed / path).exists()] == []


@pytest.mark.long
def test_it_is_staged_whole_on_a_branch_without_history(renamed: Path) -> None:
    assert git(renamed, "symbolic-ref", "HEAD") == "refs/heads/blossom\n"
    assert git(renamed, "branch", "--list").split() == ["main"]
    assert git(renamed, "diff", "--name-only") == ""


@pytest.mark.long
def test_the_code_is_sorted_and_formatted(renamed: Path) -> None:
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "."],
            cwd=renamed,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_it_trains(renamed: Path, environment: dict[str, str], tiny: list[str], tmp_path: Path) -> None:
    train = [sys.executable, "-m", "blossom.train", *tiny, "~callbacks.report", "hydra.run.dir=run"]
    done = subprocess.run(train, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/summary.json").is_file()
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert config["data"]["_target_"] == "blossom.data.FolderSource"


@pytest.mark.long
def test_its_tests_pass(renamed: Path, environment: dict[str, str]) -> None:
    tests = [f"tests/{name}" for name in TESTS]
    quick = ["-p", "no:cacheprovider", "-m", "not long", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quick, *tests],
        cwd=renamed,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
