"""The lengths of phases that fit a budget, as pure functions."""

import pytest

from imageclf import InputError
from imageclf.schedule import Phase, Schedule, Workload
from imageclf.schedule.budget import Budget, Pace, fitted, fitted_lengths, shortest

LESSON = Schedule(
    {
        "head": Phase(cycle_len=20, augment=False, precompute=True),
        "augment": Phase(cycle_len=2, lr=1e-3, warmup=1.0),
        "finetune": Phase(n_cycles=2, cycle_len=2, cycle_mult=2, lr=1e-3, unfreeze_to=0, warmup=1.0),
        "bigger": Phase(cycle_len=2, lr=1e-3, unfreeze_to=0, size=160, warmup=0.5),
    }
)
WORK = Workload(train=1000, valid=0, search=0, views=0, size=128, compares=False)
# A hundredth of a second, a tenth, and so on, for each picture.
MEASURED = {
    ("features", 128): (0.1, 1000),
    ("frozen body", 128): (1.0, 100),
    ("trained body", 128): (3.0, 100),
    ("trained body", 160): (5.0, 100),
}
PACE = Pace(MEASURED, WORK, ends=5.0, epoch=0.5, cycle=2.0)


def lengths(schedule: Schedule) -> dict[str, int]:
    return {name: phase.cycle_len for name, phase in schedule.phases.items()}


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("90s", 90, "seconds"),
        ("10min", 600, "seconds"),
        ("1.5h", 5400, "seconds"),
        ("50000pictures", 50_000, "pictures"),
    ],
)
def test_a_budget_is_a_number_and_its_unit(text, amount, unit):
    assert Budget.read(text) == Budget(amount, unit)


@pytest.mark.parametrize("text", ["10", "0min", "-5s", "10 min", "1e3s", "ten", "10days", ""])
def test_another_word_is_refused_with_what_is_legal(text):
    with pytest.raises(InputError, match=rf"^budget={text}: give a time such as 90s, 10min or 1\.5h, or"):
        Budget.read(text)


def test_a_run_takes_its_passes_and_what_epochs_cycles_and_ends_add():
    # 20 epochs at 0.1 s, 2 at 10 s, 6 at 30 s, 2 at 50 s, and the features once, by the mean of the others.
    features = 1000 * 128**2 * (1.0 + 3.0 + 5.0) / (100 * (128**2 + 3 * 128**2 + 3 * 160**2))
    assert PACE.seconds(LESSON) == pytest.approx(2 + 20 + 180 + 100 + features + 5 + 30 * 0.5 + 5 * 2)


@pytest.mark.parametrize("factor", [0.63, 0.75, 1.0, 1.4, 2.0, 3.3, 10.0])
def test_the_lesson_keeps_a_budget_from_two_thirds_of_its_time_on(factor):
    available = factor * PACE.seconds(LESSON)
    assert 0.85 * available <= PACE.seconds(fitted(LESSON, PACE.seconds, available)) <= available


def test_its_own_time_leaves_a_recipe_as_it_is():
    assert fitted(LESSON, PACE.seconds, PACE.seconds(LESSON) + 1e-6) == LESSON


def test_phases_stay_in_proportion():
    assert lengths(fitted(LESSON, lambda schedule: 100 * schedule.epochs, 30_000)) == {
        "head": 200,
        "augment": 20,
        "finetune": 20,
        "bigger": 20,
    }


@pytest.mark.parametrize("available", [7.0, 11.5, 40.0, 99.0])
def test_what_is_left_would_not_pay_for_another_epoch_of_the_most_costly_phase(available):
    units = {"a": 0.5, "b": 2.0, "c": 3.0}
    found = fitted_lengths({"a": 4, "b": 2, "c": 1}, units, available)
    assert 0 <= available - sum(units[name] * found[name] for name in found) < 3.0


def test_a_phase_is_never_shorter_than_one_epoch_and_the_others_pay():
    assert fitted_lengths({"long": 100, "short": 1}, {"long": 1.0, "short": 10.0}, 30.0) == {
        "long": 20,
        "short": 1,
    }


def test_the_shortest_run_has_one_epoch_in_every_first_cycle():
    assert set(lengths(shortest(LESSON)).values()) == {1}


def test_a_shorter_phase_warms_up_for_less_and_a_longer_one_for_as_long():
    halved, doubled = shortest(LESSON), fitted(LESSON, lambda schedule: schedule.epochs, 60)
    assert [phase.warmup for phase in halved.phases.values()] == [0.0, 0.5, 0.5, 0.25]
    assert [phase.warmup for phase in doubled.phases.values()] == [0.0, 1.0, 1.0, 0.5]
