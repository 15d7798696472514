"""Batch norm that two ranks share computes what one rank does of their batches together."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch


@pytest.mark.gpu
def test_two_ranks_with_half_a_batch_each_train_as_one_with_the_whole(
    call: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    done = call(tmp_path, "-m", "sync_norms", str(tmp_path), gpu=True)
    assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / f"ranks-{number}.pt") for number in (1, 2))
    assert one.keys() == two.keys()
    assert any(name.endswith("running_var") for name in one)
    for name, expected in one.items():
        torch.testing.assert_close(two[name], expected, rtol=1e-7, atol=1e-9, msg=name)
