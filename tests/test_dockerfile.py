"""The Dockerfile, read as Docker does: it is built where an engine is."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def steps() -> list[tuple[str, str]]:
    """Return (instruction, arguments) in order, without comments, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(name, words) for name, _, words in (line.partition(" ") for line in joined.splitlines())]


STEPS = steps()
COPIED = [path for name, words in STEPS if name == "COPY" for path in words.split()[:-1]]


def given(instruction: str) -> list[str]:
    """Return the arguments of each use of an instruction."""
    return [words for name, words in STEPS if name == instruction]


def test_it_begins_with_a_python_that_the_project_supports() -> None:
    assert STEPS[0][0] == "FROM"
    version = re.fullmatch(r"python:(3\.\d+)-slim", STEPS[0][1])
    assert version is not None
    assert f"Programming Language :: Python :: {version[1]}" in PROJECT["classifiers"]


@pytest.mark.parametrize("path", COPIED)
def test_what_is_copied_is_there_and_not_ignored(path: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert (ROOT / path).exists()
    assert f"!{path}" in ignored


def test_all_that_the_wheel_is_built_of_is_copied() -> None:
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    folders = {path.partition("/")[0] for path in hatch["targets"]["wheel"]["only-include"]}
    assert folders | {"pyproject.toml", PROJECT["readme"]} <= {*COPIED}


def test_the_releases_are_those_of_the_lock() -> None:
    (install,) = [words for words in given("RUN") if words.startswith("pip install")]
    words = shlex.split(install)
    assert words[words.index("--constraint") + 1] == "requirements.lock"
    extras = re.search(r"\.\[(.*)\]", install)
    assert extras is not None
    assert {*extras[1].split(",")} <= {*PROJECT["optional-dependencies"]}


def test_the_lock_has_a_release_of_each_dependency() -> None:
    locked = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    needed = {re.match(r"[\w-]+", each)[0] for each in PROJECT["dependencies"]}  # type: ignore[index]
    assert needed <= locked


def test_it_does_not_run_as_root() -> None:
    last = given("USER")[-1]
    assert last not in ("root", "0")
    assert any(f"useradd --create-home {last}" in words for words in given("RUN"))
    assert [name for name, _ in STEPS].index("USER") > max(
        number for number, (name, _) in enumerate(STEPS) if name in ("RUN", "COPY")
    )


def test_what_it_runs_is_a_command_of_the_project() -> None:
    (command,) = given("CMD")
    assert json.loads(command)[0] in PROJECT["scripts"]
