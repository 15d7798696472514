"""A real run in this process, small enough for a second."""

from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import train_small


@pytest.fixture
def train(pictures: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that trains with the given overrides and returns the run directory."""

    def run(*overrides: str, name: str = "run") -> Path:
        return train_small(tmp_path / name, pictures, *overrides)

    return run
