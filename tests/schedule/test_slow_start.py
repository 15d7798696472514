import numpy as np
import pytest

from imageclf.schedule import Phase


def fastais(n_cycles, cycle_len, cycle_mult, num_batches):
    """Return the multipliers as fastai 0.7's CosAnneal counts them, iteration by iteration."""
    epochs = sum(cycle_len * cycle_mult**cycle for cycle in range(n_cycles))
    in_cycle, cycle_batches, scales = 0, cycle_len * num_batches, []
    for iteration in range(epochs * num_batches):
        slow = iteration < cycle_batches / 20
        scales.append(1 / 100 if slow else (np.cos(np.pi * in_cycle / cycle_batches) + 1) / 2)
        in_cycle += 1
        if in_cycle == cycle_batches:
            in_cycle, cycle_batches = 0, cycle_batches * cycle_mult
    return scales


@pytest.mark.parametrize(
    ("cycles", "num_batches"),
    [((1, 1, 1), 40), ((3, 1, 2), 21), ((2, 3, 1), 7), ((3, 1, 2), 5), ((2, 2, 3), 50)],
)
def test_the_rates_are_those_of_fastai(cycles, num_batches):
    phase = Phase(*cycles, lr=1.0, slow_start=True)
    ours = [phase.lr_scale(e, b, num_batches) for e in range(phase.epochs) for b in range(num_batches)]
    assert ours == pytest.approx(fastais(*cycles, num_batches), abs=1e-12)


def test_without_it_the_first_step_has_the_whole_rate():
    assert Phase(1, 4, lr=1.0).lr_scale(0, 0, 40) == 1.0
