"""How much of a run is left, as a function of the position, and how long that takes."""

import pytest

from imageclf.schedule import Phase, Schedule, Workload, kind_of, passes_left, seconds_of

LESSON = Schedule(
    {
        "head": Phase(cycle_len=2, augment=False, precompute=True),
        "tune": Phase(n_cycles=2, cycle_len=1, cycle_mult=2, lr=1e-3, unfreeze_to=0),
        "large": Phase(lr=1e-3, unfreeze_to=0, size=256),
    }
)
WORK = Workload(train=100, valid=20, search=30, views=4, size=128, compares=True)
ALONE = Workload(train=100, valid=0, search=0, views=0, size=128, compares=False)


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        (Phase(augment=False, precompute=True), "features"),
        (Phase(), "frozen body"),
        (Phase(unfreeze_to="head"), "frozen body"),
        (Phase(unfreeze_to=0), "trained body"),
        (Phase(unfreeze_to="body1"), "trained body"),
    ],
)
def test_a_picture_of_a_phase_costs_what_it_goes_through(phase, kind):
    assert kind_of(phase, 128) == (kind, 128)


def test_a_whole_run_is_counted_picture_by_picture():
    assert passes_left(LESSON, WORK, 0) == {
        # Two epochs and a search on cached features.
        ("features", 128): 2 * 100 + 30,
        ("trained body", 128): 3 * 100,
        ("trained body", 256): 100,
        # Features once; three validations; other views at the ends of three cycles.
        ("evaluation", 128): 120 + 3 * 20 + 3 * 4 * 20,
        # One validation and its views; four snapshots, twice, and one more.
        ("evaluation", 256): 20 + 4 * 20 + 9 * 20,
    }


def test_what_is_done_is_not_counted_again():
    half = passes_left(LESSON, ALONE, 2, done=0.5)
    assert half == {("trained body", 128): 250, ("trained body", 256): 100}


@pytest.mark.parametrize("epoch", range(5))
def test_epoch_by_epoch_less_is_left(epoch):
    now, later = (passes_left(LESSON, WORK, each) for each in (epoch, epoch + 1))
    assert now > later or now.total() > later.total()


def test_a_measured_kind_takes_the_time_that_was_measured():
    assert seconds_of({("trained body", 128): 50}, {("trained body", 128): (20.0, 100)}) == 10.0


def test_a_size_that_was_not_seen_yet_takes_as_long_as_its_pixels_say():
    assert seconds_of({("trained body", 256): 50}, {("trained body", 128): (20.0, 100)}) == pytest.approx(40)


def test_a_body_that_was_not_trained_yet_is_guessed_to_take_three_times_a_forward_pass():
    assert seconds_of({("trained body", 128): 50}, {("evaluation", 128): (20.0, 100)}) == pytest.approx(30)


def test_cached_features_say_nothing_of_the_rest():
    assert seconds_of({("trained body", 128): 50}, {("features", 128): (1.0, 100)}) is None
    assert seconds_of({("trained body", 128): 50}, {}) is None


def test_nothing_is_left_of_a_finished_run():
    assert passes_left(LESSON, ALONE, LESSON.epochs) == {}
    assert seconds_of({}, {}) == 0.0
