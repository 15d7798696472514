"""The versions of Python that are promised are those that are tested."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TESTED = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))["jobs"]["test"]
VERSIONS = TESTED["strategy"]["matrix"]["python"]


def test_ci_tests_every_version_that_may_install_the_package() -> None:
    lowest, above = (int(minor) for minor in re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    assert [f"3.{minor}" for minor in range(lowest, above)] == VERSIONS


def test_the_classifiers_name_what_ci_tests() -> None:
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if ":: Python :: 3." in each]
    assert named == VERSIONS


def test_the_readme_names_what_ci_tests() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"Python {VERSIONS[0]} to {VERSIONS[-1]}" in readme
