import re
from pathlib import Path

import numpy as np
import pytest
import torch.multiprocessing
from presets import preset

from imageclf.data.dataset import PictureDataset, Request
from imageclf.data.loader import RequestLoader

STAMPS = sorted(str(path) for path in (Path(__file__).parents[2] / "data" / "stamps").glob("*/*.jpg"))
ROWS = 1_000_000
PLAIN = preset("side_on")


def memory(pid):
    """Return the bytes that a process shares with no other, and its part of what it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1])


def epoch_requests(epoch, batches=60):
    """Ask for rows all over the table, as a shuffled epoch does."""
    rows = np.random.default_rng(epoch).permutation(ROWS)[: 32 * batches].reshape(batches, 32)
    return (Request(chosen, np.ones(32, dtype=np.int64), epoch, 32) for chosen in rows)


@pytest.mark.long
def test_workers_over_a_million_rows_grow_by_less_than_a_twentieth_an_epoch():
    assert len(STAMPS) > 100
    paths = [STAMPS[row % len(STAMPS)] for row in range(ROWS)]
    dataset = PictureDataset(paths, np.zeros(ROWS, dtype=np.int64), PLAIN, "crop", 1.0, 0)
    loader = RequestLoader(dataset, num_workers=2)
    others, sizes = set(torch.multiprocessing.active_children()), []
    for epoch in range(6):
        assert sum(len(batch.rows) for batch in loader.read(epoch_requests(epoch))) == 1920
        workers = set(torch.multiprocessing.active_children()) - others
        assert len(workers) == 2
        sizes.append(sum(memory(worker.pid) for worker in workers))
    growth = np.diff(sizes) / sizes[:-1]
    assert max(growth) < 0.05, f"bytes after each epoch: {sizes}"
