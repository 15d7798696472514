import doctest

import numpy as np
import pytest
from scipy import stats

from imageclf.data import sampler
from imageclf.data.sampler import (
    copy_numbers,
    epoch_order,
    even_chunks,
    num_batches,
    oversample,
    rank_batches,
)

ROWS = np.arange(10, 30)
LABELS = np.array([0] * 12 + [1] * 5 + [3] * 3)
NUMBERS = range(51)
BATCH_SIZES = [2, 3, 4, 8, 64]


def on_every_layout(test):
    """Run a test on 1 to 4 ranks with batches of 2 to 64 pictures."""
    worlds = pytest.mark.parametrize("world_size", [1, 2, 3, 4])
    return worlds(pytest.mark.parametrize("batch_size", BATCH_SIZES)(test))


def batches(n, batch_size, rank=0, world_size=1):
    """List a rank's batches of n rows in order."""
    order = np.arange(n)
    return [order[share.chosen].tolist() for share in rank_batches(n, batch_size, rank, world_size)]


def all_ranks(n, batch_size, world_size):
    """List the batches of every rank."""
    return [batches(n, batch_size, rank, world_size) for rank in range(world_size)]


def sizes(n, batch_size, world_size):
    """List the batch sizes of every rank."""
    return [[len(batch) for batch in each] for each in all_ranks(n, batch_size, world_size)]


def rows_of(n, batch_size, world_size):
    """List the rows that all ranks see."""
    return [row for each in all_ranks(n, batch_size, world_size) for batch in each for row in batch]


def test_an_epoch_is_a_permutation():
    assert sorted(epoch_order(ROWS, 42, 0)) == ROWS.tolist()


def test_an_epoch_has_the_same_order_every_time():
    np.testing.assert_array_equal(epoch_order(ROWS, 42, 3), epoch_order(ROWS, 42, 3))


def test_epochs_and_seeds_differ_in_order():
    orders = {tuple(epoch_order(ROWS, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_every_row_comes_first_equally_often():
    first = [epoch_order(np.arange(5), 0, epoch)[0] for epoch in range(2000)]
    assert stats.chisquare(np.bincount(first)).pvalue > 1e-4


def test_without_oversampling_the_rows_stay_as_they_are():
    np.testing.assert_array_equal(oversample(ROWS, LABELS, "none", 0, 0), ROWS)


def test_repeating_brings_every_class_up_to_the_largest():
    rows = oversample(ROWS, LABELS, "repeat", 0, 0)
    assert np.bincount(LABELS[rows - 10]).tolist() == [12, 12, 0, 12]


def test_repeating_copies_the_rows_of_a_class_evenly():
    rows = oversample(ROWS, LABELS, "repeat", 0, 0)
    counts = np.bincount(rows)[10:]
    assert [sorted(counts[label == LABELS]) for label in (0, 1, 3)] == [[1] * 12, [2, 2, 2, 3, 3], [4, 4, 4]]


def test_the_rows_that_are_repeated_once_more_change_with_the_epoch():
    extra = [
        np.flatnonzero(np.bincount(oversample(ROWS, LABELS, "repeat", 0, epoch)) == 3) for epoch in range(20)
    ]
    assert len({tuple(each) for each in extra}) > 1


def test_weighting_keeps_the_length_of_the_epoch():
    assert len(oversample(ROWS, LABELS, "weighted", 0, 0)) == 20


def test_weighting_draws_every_class_equally_often():
    rows = np.concatenate([oversample(ROWS, LABELS, "weighted", 0, epoch) for epoch in range(300)])
    counts = np.bincount(LABELS[rows - 10])[[0, 1, 3]]
    assert stats.chisquare(counts).pvalue > 1e-4


def test_weighting_draws_the_rows_of_a_class_equally_often():
    rows = np.concatenate([oversample(ROWS, LABELS, "weighted", 0, epoch) for epoch in range(300)])
    assert stats.chisquare(np.bincount(rows[rows < 22])[10:]).pvalue > 1e-4


@pytest.mark.parametrize("how", ["repeat", "weighted"])
def test_oversampling_is_the_same_every_time(how):
    np.testing.assert_array_equal(oversample(ROWS, LABELS, how, 3, 4), oversample(ROWS, LABELS, how, 3, 4))


@pytest.mark.parametrize("how", ["repeat", "weighted"])
def test_oversampling_has_a_length_that_all_epochs_share(how):
    assert len({len(oversample(ROWS, LABELS, how, 0, epoch)) for epoch in range(10)}) == 1


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], []),
        ([7], [0]),
        ([1, 2, 3], [0, 0, 0]),
        ([5, 5, 5], [0, 1, 2]),
        ([2, 1, 2, 2, 1, 3], [0, 0, 1, 2, 1, 0]),
    ],
)
def test_copies_are_numbered_in_the_order_they_come(rows, expected):
    assert copy_numbers(np.array(rows, dtype=np.int64)).tolist() == expected


def test_no_copy_has_the_number_of_another():
    rows = np.random.default_rng(0).integers(0, 40, 1000)
    assert len(set(zip(rows.tolist(), copy_numbers(rows).tolist(), strict=True))) == 1000


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "world_size", "expected"),
    [
        (64, 16, 1, 4),
        (65, 16, 1, 4),
        (66, 16, 1, 5),
        (1, 16, 1, 1),
        (0, 16, 1, 0),
        (64, 16, 2, 2),
        (65, 16, 2, 2),
        (66, 16, 2, 3),
        (67, 16, 2, 3),
        (68, 16, 2, 3),
        (0, 16, 2, 0),
        (1, 16, 2, 1),
        (2, 16, 2, 1),
        (3, 16, 2, 1),
        (50, 1, 1, 50),
        (51, 1, 2, 25),
    ],
)
def test_the_number_of_batches(num_rows, batch_size, world_size, expected):
    assert num_batches(num_rows, batch_size, world_size) == expected


@on_every_layout
def test_every_rank_has_the_number_of_batches_that_was_told(batch_size, world_size):
    lengths = [{len(each) for each in sizes(n, batch_size, world_size)} for n in NUMBERS]
    assert lengths == [{num_batches(n, batch_size, world_size)} for n in NUMBERS]


@on_every_layout
@pytest.mark.fault(
    "Splits, batches and metrics",
    "The last batch has one picture, which batch norm cannot train on",
    "That picture alone waits for the next epoch's order",
)
def test_no_rank_trains_on_one_picture_unless_there_is_only_one_batch(batch_size, world_size):
    several = [each for n in NUMBERS for each in sizes(n, batch_size, world_size) if len(each) > 1]
    assert [each for each in several if min(each) < 2] == []
    assert several or batch_size * world_size > 48


@on_every_layout
@pytest.mark.fault(
    "Splits, batches and metrics", "There are fewer pictures than a batch holds", "They make a batch"
)
def test_there_is_a_batch_as_soon_as_there_is_a_picture(batch_size, world_size):
    assert [num_batches(n, batch_size, world_size) > 0 for n in NUMBERS] == [n > 0 for n in NUMBERS]


@on_every_layout
def test_the_number_of_batches_depends_on_the_global_batch_alone(batch_size, world_size):
    told = [num_batches(n, batch_size, world_size) for n in NUMBERS]
    assert told == [num_batches(n, batch_size * world_size) for n in NUMBERS]


@on_every_layout
def test_every_picture_of_a_global_batch_weighs_the_same_in_the_mean_over_ranks(batch_size, world_size):
    seen = 0
    for n in NUMBERS:
        ranks = [rank_batches(n, batch_size, rank, world_size) for rank in range(world_size)]
        for shares in zip(*ranks, strict=True):
            weights = np.zeros(n)
            for chosen, weight, _ in shares:
                weights[chosen] += weight / len(weights[chosen]) / world_size
            total = shares[0].total
            np.testing.assert_allclose(weights[weights > 0], np.full(total, 1 / total))
            seen += 1
    assert seen >= len(NUMBERS) - 1


@on_every_layout
def test_one_picture_at_the_most_is_left_out(batch_size, world_size):
    seen = [set(rows_of(n, batch_size, world_size)) for n in NUMBERS]
    assert {n - len(rows) for n, rows in zip(NUMBERS, seen, strict=True)} <= {0, 1}


@on_every_layout
def test_only_a_last_batch_that_is_too_small_to_share_comes_to_several_ranks(batch_size, world_size):
    rows = {n: rows_of(n, batch_size, world_size) for n in NUMBERS}
    repeated = {n for n, each in rows.items() if len(set(each)) < len(each)}
    stride = batch_size * world_size
    assert all(n % stride < 2 * world_size for n in repeated)


@on_every_layout
def test_no_share_is_larger_than_the_batch_size_but_by_one_picture(batch_size, world_size):
    assert max(size for n in NUMBERS for each in sizes(n, batch_size, world_size) for size in each) <= max(
        batch_size, 3
    )


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
@pytest.mark.parametrize("n", [2, 3, 4, 16, 29, 48, 50])
def test_two_ranks_together_see_what_one_sees_with_the_double_batch(n, batch_size):
    pairs = zip(*all_ranks(n, batch_size, 2), strict=True)
    assert [sorted({*zero, *one}) for zero, one in pairs] == batches(n, 2 * batch_size)


@on_every_layout
def test_the_ranks_share_each_batch_evenly(batch_size, world_size):
    shares = [share for n in NUMBERS for share in zip(*sizes(n, batch_size, world_size), strict=True)]
    assert len(shares) >= len(NUMBERS) - 1
    assert max(max(share) - min(share) for share in shares) <= 1


def test_evaluation_deals_seven_pictures_to_two_ranks():
    rows = np.arange(7)
    assert [[chunk.tolist() for chunk in even_chunks(rows, 2, rank, 2)] for rank in (0, 1)] == [
        [[0, 2], [4, 6]],
        [[1, 3], [5]],
    ]


@on_every_layout
@pytest.mark.fault(
    "Splits, batches and metrics",
    "Pictures cannot be shared out evenly among the ranks",
    "Each is evaluated once; none is repeated to fill up",
)
def test_evaluation_covers_every_picture_exactly_once(batch_size, world_size):
    rows = np.random.default_rng(0).permutation(100)
    seen = [
        np.concatenate(
            [
                chunk
                for rank in range(world_size)
                for chunk in even_chunks(rows[:n], batch_size, rank, world_size)
            ]
        )
        for n in NUMBERS[1:]
    ]
    assert [sorted(each) for each in seen] == [sorted(rows[:n]) for n in NUMBERS[1:]]


def test_evaluation_of_nothing_has_no_batches():
    assert list(even_chunks(np.arange(0), 4)) == []


@on_every_layout
def test_evaluation_keeps_to_the_batch_size(batch_size, world_size):
    lengths = [len(chunk) for n in NUMBERS for chunk in even_chunks(np.arange(n), batch_size, 0, world_size)]
    assert min(lengths) >= 1 and max(lengths) <= batch_size


def test_the_examples_in_the_docstrings_hold():
    result = doctest.testmod(sampler)
    assert result.attempted >= 1 and result.failed == 0
