"""Fixtures that all tests share."""

import os

# One thread a process: the runs are tiny, two cores are shared, and sums do not depend on the machine.
os.environ["OMP_NUM_THREADS"] = "1"

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of drawn pictures, 12 each, told apart by their colour: one folder per class."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index, name in enumerate(("blue", "green", "red")):
        (root / name).mkdir()
        for number in range(12):
            noise = generator.integers(0, 120, (24, 30, 3), dtype=np.uint8)
            noise[..., 2 - index] += 110
            Image.fromarray(noise).save(root / name / f"{number}.png")
    return root
