"""imageclf-new: a project that trains, tests itself, and is checked by what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement

from imageclf import InputError
from imageclf.commands.new import new_project, next_steps, requirement

TEMPLATES = Path(__file__).parents[2] / "src/imageclf/project"


def test_each_template_becomes_a_file_with_the_name_filled_in(tmp_path):
    folder = new_project("petals", tmp_path)
    made = [
        path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts
    ]
    assert len(made) == len(list(TEMPLATES.rglob("*.j2"))) > 10
    assert {each for each in made if "{{" in each.read_text() or "NAME" in each.name} == set()
    assert (folder / "src/petals/loss.py").is_file()


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({}, "imageclf[demo,export]"),
        ({"url": "file:///a.whl", "archive_info": {}}, "imageclf[demo,export] @ file:///a.whl"),
        (
            {"url": "https://host/it.git", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}},
            "imageclf[demo,export] @ git+https://host/it.git@c0ffee",
        ),
        (
            {
                "url": "https://host/all.git",
                "vcs_info": {"vcs": "git", "commit_id": "c0ffee"},
                "subdirectory": "libs/it",
            },
            "imageclf[demo,export] @ git+https://host/all.git@c0ffee#subdirectory=libs/it",
        ),
    ],
    ids=["index", "wheel", "git", "folder of a repository"],
)
def test_the_project_requires_the_package_from_where_it_was_installed(origin, expected):
    assert requirement(origin) == expected
    Requirement(expected)


def test_the_script_of_ci_can_be_run(tmp_path):
    assert os.access(new_project("petals", tmp_path) / ".ci/run", os.X_OK)


def test_it_is_a_git_repository(tmp_path):
    folder = new_project("petals", tmp_path)
    done = subprocess.run(
        ["git", "status", "--short"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert "?? pyproject.toml" in done.stdout


def test_what_comes_next_is_said(tmp_path):
    assert next_steps(tmp_path / "petals").splitlines()[:3] == [f"{tmp_path}/petals", "next", "  cd petals"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my-petals", "give a name for a package of Python, such as petals"),
        ("Petals", "give a name for a package"),
        ("../petals", "give a name for a package"),
        ("class", "give a name for a package"),
        ("torch", "a package of that name is installed; give another name"),
        ("there", "exists already; give another name"),
    ],
)
def test_a_name_that_the_project_cannot_have_is_refused(name, said, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=said):
        new_project(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.long
def test_a_new_project_trains_tests_and_checks_itself_and_runs_its_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # In place of an installation of the project.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "petals/src"), *sys.path]))
    subprocess.run([sys.executable, "-m", "imageclf.new", "petals"], check=True, capture_output=True)
    monkeypatch.chdir(tmp_path / "petals")
    for target in ("demo", "test", "check"):
        make = ["make", target, f"BIN={Path(sys.executable).parent}"]
        done = subprocess.run(make, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    (run_dir,) = Path("runs/petals").iterdir()
    assert (run_dir / "report.html").is_file()
    notebook = nbformat.read("notebooks/1-train.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300).execute()
    assert Path("runs/notebook/report.html").is_file()
