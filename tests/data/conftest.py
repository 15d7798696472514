"""Pictures that several tests of the data path read."""

from pathlib import Path

import pytest
from presets import write_noise


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw twelve noisy pictures, 26 by 20 pixels."""
    folder = tmp_path_factory.mktemp("twelve")
    write_noise(folder, [(20, 26)] * 12)
    return folder
