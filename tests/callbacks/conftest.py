"""A real run in this process, small enough for a second."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_runs import train_small


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of drawn pictures, 12 each, told apart by their colour."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index, name in enumerate(("blue", "green", "red")):
        (root / name).mkdir()
        for number in range(12):
            noise = generator.integers(0, 120, (24, 30, 3), dtype=np.uint8)
            noise[..., 2 - index] += 110
            Image.fromarray(noise).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def train(pictures: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that trains with the given overrides and returns the run directory."""

    def run(*overrides: str, name: str = "run") -> Path:
        return train_small(tmp_path / name, pictures, *overrides)

    return run
