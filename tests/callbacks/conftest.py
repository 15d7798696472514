"""A real run in this process, small enough for a second."""

from collections.abc import Callable
from pathlib import Path

import pytest
from resume_runs import Runs
from small_runs import train_small


@pytest.fixture
def train(pictures: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that trains with the given overrides and returns the run directory."""

    def run(*overrides: str, name: str = "run") -> Path:
        return train_small(tmp_path / name, pictures, *overrides)

    return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, seven_pictures: Path) -> Runs:
    """Return runs on 15 pictures, with 6 held out; undisturbed ones are kept."""
    return Runs(tmp_path_factory.mktemp("resumed"), seven_pictures)
