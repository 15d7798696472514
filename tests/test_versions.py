"""The versions of Python that are promised are those that are tested."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


def test_the_locked_versions_lie_within_the_ranges() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in locked.items()}
    extras = PROJECT["optional-dependencies"]
    # What `dev` takes of the others, and itself.
    own, *listed = map(Requirement, extras["dev"])
    needed = [*PROJECT["dependencies"], *(each for extra in own.extras for each in extras[extra])]
    for requirement in [*map(Requirement, needed), *listed]:
        assert versions[canonicalize_name(requirement.name)] in requirement.specifier, requirement
