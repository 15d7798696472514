import numpy as np
import pytest
from scipy import stats

from imageclf.data.views.draws import uniforms

MANY = 20_000


def draw(seed=0, epoch=0, rows=range(MANY), view=0, count=4):
    """Draw one view of some rows."""
    rows = np.array(rows, dtype=np.int64)
    return uniforms(seed, epoch, rows, np.full_like(rows, view), count)


def test_a_row_of_numbers_comes_for_each_sample():
    assert draw(rows=range(7), count=3).shape == (7, 3)


def test_no_samples_get_no_numbers():
    assert draw(rows=[], count=3).shape == (0, 3)


def test_numbers_lie_from_zero_to_below_one():
    numbers = draw(count=50)
    assert numbers.min() >= 0 and numbers.max() < 1


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
@pytest.mark.parametrize("column", range(4))
def test_numbers_are_uniform_over_rows(seed, column):
    assert stats.kstest(draw(seed=seed)[:, column], "uniform").pvalue > 1e-4


@pytest.mark.parametrize("key", ["seed", "epoch", "view"])
def test_numbers_of_one_row_are_uniform_over_seeds_epochs_and_views(key):
    numbers = [draw(rows=[5], count=1, **{key: value})[0, 0] for value in range(2000)]
    assert stats.kstest(numbers, "uniform").pvalue > 1e-4


def test_the_numbers_of_a_sample_do_not_depend_on_one_another():
    correlations = np.corrcoef(draw(count=6), rowvar=False)
    assert np.abs(correlations[~np.eye(6, dtype=bool)]).max() < 5 / np.sqrt(MANY)


def test_pairs_of_numbers_fill_the_square_evenly():
    numbers = draw(count=2)
    counts, _, _ = np.histogram2d(numbers[:, 0], numbers[:, 1], bins=10, range=[[0, 1], [0, 1]])
    assert stats.chisquare(counts.ravel()).pvalue > 1e-4


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"epoch": 1}, {"view": 1}, {"rows": range(1, MANY + 1)}, {"seed": 2**32 - 1}]
)
def test_neighbours_in_seed_epoch_view_and_row_are_unrelated(other):
    one, two = draw(count=1)[:, 0], draw(count=1, **other)[:, 0]
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(MANY)


def test_no_two_positions_draw_the_same_number():
    drawn = [
        draw(seed, epoch, range(50), view) for seed in range(4) for epoch in range(4) for view in range(4)
    ]
    numbers = np.concatenate(drawn).ravel()
    assert len(numbers) == 4 * 4 * 4 * 50 * 4
    assert len(np.unique(numbers)) == len(numbers)


def test_epoch_row_and_view_are_not_interchangeable():
    orders = [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]
    drawn = {draw(epoch=epoch, rows=[row], view=view, count=1)[0, 0] for epoch, row, view in orders}
    assert len(drawn) == 6


@pytest.mark.parametrize("batch_size", [1, 3, 16, 100])
def test_a_sample_draws_the_same_whatever_batch_it_is_in(batch_size):
    rows = np.random.default_rng(0).permutation(100)
    batches = [draw(7, 3, rows[start : start + batch_size], 2) for start in range(0, 100, batch_size)]
    np.testing.assert_array_equal(np.concatenate(batches), draw(7, 3, range(100), 2)[rows])


def test_asking_for_more_numbers_leaves_the_first_ones_as_they_were():
    np.testing.assert_array_equal(draw(count=10)[:, :4], draw(count=4))


def test_samples_of_several_views_in_one_batch_draw_as_they_do_alone():
    rows, views = np.array([4, 4, 9]), np.array([0, 1, 1])
    together = uniforms(5, 6, rows, views, 3)
    alone = [draw(5, 6, [row], view, 3)[0] for row, view in zip(rows, views, strict=True)]
    np.testing.assert_array_equal(together, alone)


def test_the_global_generator_is_left_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    draw()
    np.testing.assert_array_equal(np.random.get_state()[1], before)
