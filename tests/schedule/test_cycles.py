import pytest

from imageclf.schedule.cycles import cycle_lengths, locate


def walk(n_cycles, cycle_len, cycle_mult):
    """Lay the cycles out epoch by epoch, by addition alone."""
    places, length = [], cycle_len
    for cycle in range(n_cycles):
        places += [(cycle, epoch) for epoch in range(length)]
        length = sum(length for _ in range(cycle_mult))
    return places


@pytest.mark.parametrize(
    ("cycle_len", "cycle_mult", "n_cycles", "epochs"),
    [
        (1, 1, 3, 3),
        (1, 2, 3, 7),
        (2, 1, 3, 6),
        (2, 2, 3, 14),
        (1, 2, 4, 15),
        (3, 10, 4, 3333),
        (1, 1, 0, 0),
        (3, 2, 0, 0),
    ],
)
def test_the_cycles_add_up_to_the_epochs_that_fastai_trains(cycle_len, cycle_mult, n_cycles, epochs):
    assert sum(cycle_lengths(n_cycles, cycle_len, cycle_mult)) == epochs


@pytest.mark.parametrize("cycle_mult", [1, 2, 3])
@pytest.mark.parametrize("cycle_len", [1, 2, 5])
def test_every_epoch_of_eight_cycles_lies_where_counting_finds_it(cycle_len, cycle_mult):
    lengths = cycle_lengths(8, cycle_len, cycle_mult)
    places = [locate(epoch, lengths) for epoch in range(sum(lengths))]
    assert places == walk(8, cycle_len, cycle_mult)


@pytest.mark.parametrize("cycle_len", range(1, 11))
def test_the_sixth_cycle_of_a_tripling_starts_on_time(cycle_len):
    lengths = cycle_lengths(6, cycle_len, 3)
    start = 121 * cycle_len
    assert [locate(start - 1, lengths), locate(start, lengths)] == [(4, 81 * cycle_len - 1), (5, 0)]


@pytest.mark.parametrize("epoch", [-1, 7, 100])
def test_an_epoch_outside_the_cycles_is_an_error(epoch):
    with pytest.raises(IndexError, match=f"epoch {epoch} is outside the 7 epochs"):
        locate(epoch, (1, 2, 4))


def test_no_epoch_lies_in_no_cycles():
    with pytest.raises(IndexError, match="outside the 0 epochs"):
        locate(0, ())
