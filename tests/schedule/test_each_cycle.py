import pytest

from imageclf import InputError
from imageclf.schedule import Phase, Schedule, phase_rows

SCHEDULE = Schedule(
    {
        "head": Phase(lr=1e-2, size=32),
        "grow": Phase(3, 1, 2, lr=1e-3, size=[64, 96, 128], batch_size=[64, 48, 32]),
    }
)


def test_each_cycle_has_its_size():
    assert [place.size for place in SCHEDULE.places] == [32, 64, 96, 96, 128, 128, 128, 128]


def test_each_cycle_has_its_batch_size():
    assert [place.batch_size for place in SCHEDULE.places] == [None, 64, 48, 48, 32, 32, 32, 32]


def test_the_sizes_of_all_cycles_are_those_of_the_run():
    assert SCHEDULE.sizes(224) == {32, 64, 96, 128}


def test_the_plan_shows_the_sizes_of_the_cycles_and_counts_their_steps():
    rows = phase_rows(SCHEDULE, ("body0", "head"), lambda place: 192 // (place.batch_size or 16), 224, (9, 1))
    assert [(row["size"], row["steps"]) for row in rows] == [(32, 12), ("64+96+128", 3 + 2 * 4 + 4 * 6)]


def test_warm_up_counts_epochs_though_cycles_have_other_numbers_of_batches():
    phase = Phase(2, 1, 1, lr=1.0, warmup=2, shape="constant", batch_size=[8, 4])
    assert [phase.lr_scale(0, batch, 2) for batch in range(2)] == [0.25, 0.5]
    assert [phase.lr_scale(1, batch, 4) for batch in range(4)] == [0.625, 0.75, 0.875, 1.0]


@pytest.mark.parametrize("key", ["size", "batch_size"])
@pytest.mark.parametrize("values", [[64], [64, 96, 128], []])
def test_there_must_be_one_number_per_cycle(key, values):
    with pytest.raises(InputError, match=rf"^{key}=\[.*\] holds {len(values)} numbers for 2 cycles"):
        Phase(n_cycles=2, **{key: values})


def test_a_size_of_zero_is_refused_in_a_list_too():
    with pytest.raises(InputError, match=r"^size=\[64,0\]: give a number from 1 to"):
        Phase(n_cycles=2, size=[64, 0])
