"""What a validation keeps of its batches, and how ranks join it."""

import pytest
import torch

from imageclf.model.predictions import Collector, gather_rows


def batches(count: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Return batches of two rows each, numbered through."""
    rows = torch.arange(2 * count)
    return list(zip(rows.split(2), (rows % 3).split(2), rows[:, None].float().split(2), strict=True))


def gathered(ranks: list[torch.Tensor]) -> torch.Tensor:
    """Return what the first rank gathers; what the others give is stacked as `torch.distributed` would."""
    lengths = torch.tensor([len(rank) for rank in ranks])
    longest = int(lengths.max())
    padded = torch.stack([torch.cat([rank, rank.new_zeros(longest - len(rank), 3)]) for rank in ranks])
    seen = iter([lengths, *padded.split(16_384, dim=1)])
    return gather_rows(ranks[0], lambda _: next(seen), torch.device("cpu"))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_all_batches_come_back_in_order(count):
    collector = Collector()
    for batch in batches(count):
        collector.add(*batch)
    rows, labels, outputs = collector.joined()
    assert rows.tolist() == outputs[:, 0].tolist() == list(range(2 * count))
    assert labels.tolist() == [row % 3 for row in range(2 * count)]


def test_no_batch_is_nothing():
    assert Collector().joined() is None


def test_at_most_64_batches_wait_on_the_device():
    collector, first = Collector(), torch.empty(2, 5, device="meta")
    for _ in range(63):
        collector.add(torch.arange(2), torch.arange(2), first)
    # A copy from the meta device raises, and so shows when a device would be waited for.
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        collector.add(torch.arange(2), torch.arange(2), first)


@pytest.mark.parametrize("lengths", [(3, 2), (0, 4), (16_384, 16_385), (40_000, 39_999)])
def test_the_first_ranks_rows_come_first_without_padding(lengths):
    ranks = [torch.rand(length, 3) for length in lengths]
    assert torch.equal(gathered(ranks), torch.cat(ranks))
