"""A real SLURM for the tests of this folder, started once; they are skipped where it cannot be.

They are marked `alone`: its ports are fixed, so one test process at a time can have one.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_server import SlurmServer, slurm, why_not


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmServer]:
    """A SLURM of two nodes with two CPUs each."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    folder: Path = tmp_path_factory.mktemp("slurm")
    with slurm(folder) as started:
        yield started
