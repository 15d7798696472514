"""The rule of the lesson, on losses by hand and on those of real runs."""

import doctest
import math

import pytest

from imageclf.analysis import fit as module
from imageclf.analysis.fit import Fit, unfreezing_drop, verdicts

OVER, UNDER, RIGHT = "over-fitting", "under-fitting", "about right"


def words(losses, classes=6, **more):
    return [each.word for each in verdicts([Fit(*each) for each in losses], classes, **more)]


def last(losses, classes=6, **more):
    return verdicts([Fit(*each) for each in losses], classes, **more)[-1]


def test_the_examples_in_the_docstrings_hold():
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed


@pytest.mark.parametrize(
    ("train", "valid", "expected"),
    [
        (0.08, 0.80, OVER),
        (0.59, 1.52, OVER),
        (0.02, 0.05, RIGHT),
        (0.01, 0.09, RIGHT),
        (0.30, 0.35, RIGHT),
        (0.06, 0.05, RIGHT),
        (0.50, 0.70, RIGHT),
        (0.50, 0.35, UNDER),
        # Little better than guessing one of six, on both.
        (1.70, 1.75, UNDER),
    ],
)
def test_a_single_cycle_is_judged_by_how_its_losses_compare(train, valid, expected):
    assert words([(train, valid)]) == [expected]


# Training loss, validation loss, its standard error and accuracy at the end of each cycle of real runs on
# data/stamps, with what a teacher of the lesson would call each.
REAL = {
    "two classes, schedule=minimal, 96 px": (
        2,
        [
            ((0.297, 0.586, 0.140, 0.786), (OVER, None)),
            ((0.029, 0.303, 0.186, 0.929), (OVER, "falling")),
            ((0.100, 0.184, 0.051, 0.929), (RIGHT, "falling")),
        ],
    ),
    "six classes, schedule=lesson2, 128 px": (
        6,
        [
            ((0.165, 0.550, 0.0, 0.824), (OVER, None)),
            ((0.146, 0.540, 0.0, 0.824), (OVER, "level")),
            ((0.101, 0.580, 0.0, 0.804), (OVER, "rising")),
            ((0.089, 0.456, 0.0, 0.863), (OVER, "falling")),
            ((0.051, 0.357, 0.0, 0.902), (OVER, "falling")),
        ],
    ),
    "the head alone, 96 px": (6, [((0.219, 0.651, 0.084, 0.824), (OVER, None))]),
    "two epochs at a low rate, 64 px": (
        6,
        [((1.040, 1.374, 0.141, 0.431), (UNDER, None)), ((1.325, 1.474, 0.095, 0.412), (UNDER, "rising"))],
    ),
    "51 pictures to train on, the head alone": (
        6,
        [
            ((0.257, 0.965, 0.048, 0.701), (OVER, None)),
            ((0.114, 0.856, 0.053, 0.725), (OVER, "falling")),
            ((0.098, 0.856, 0.054, 0.735), (OVER, "level")),
        ],
    ),
    "51 pictures to train on, not augmented": (
        6,
        [
            ((0.300, 1.154, 0.071, 0.588), (OVER, None)),
            ((0.067, 0.950, 0.084, 0.706), (OVER, "falling")),
            ((0.105, 1.064, 0.079, 0.647), (OVER, "rising")),
        ],
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_real_runs_are_judged_as_a_teacher_of_the_lesson_would(name):
    classes, cycles = REAL[name]
    judged = verdicts([Fit(*measured) for measured, _ in cycles], classes)
    assert [(each.word, each.trend) for each in judged] == [expected for _, expected in cycles]


def test_the_same_loss_is_more_of_a_failure_with_fewer_classes():
    assert words([(0.5, 0.55)], classes=2) == [UNDER]
    assert words([(0.5, 0.55)], classes=120) == [RIGHT]


def test_a_difference_that_a_single_picture_could_make_decides_nothing():
    assert words([(0.1, 0.4, 0.31)]) == [RIGHT]
    assert words([(0.1, 0.4, 0.29)]) == [OVER]


@pytest.mark.parametrize(
    ("losses", "trend"),
    [
        ([(0.5, 0.8)], None),
        ([(0.5, 0.8), (0.3, 0.7)], "falling"),
        ([(0.5, 0.8), (0.3, 0.81)], "level"),
        ([(0.5, 0.8), (0.3, 0.82)], "rising"),
        # Worse than the cycle before, but not than the best one.
        ([(0.5, 0.6), (0.6, 0.9), (0.3, 0.605)], "level"),
        ([(0.5, 0.8), (0.4, 0.7), (0.3, 0.75)], "rising"),
    ],
)
def test_the_trend_is_that_since_the_best_cycle_before(losses, trend):
    assert last(losses).trend == trend


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([(0.5, 0.8), (0.3, 0.82)], True),
        ([(0.5, 0.8), (0.4, 0.7), (0.6, 0.75)], False),
        # Both losses rose: a rate that was too high, or a bigger picture, is no over-fitting.
        ([(0.5, 0.7), (0.6, 0.8)], False),
        ([(0.1, 0.7), (0.2, 0.8)], False),
        # A gap without a rise: more epochs still help.
        ([(0.2, 0.8), (0.1, 0.7)], False),
        # A rise of nothing.
        ([(0.03, 0.05), (0.02, 0.06)], False),
    ],
)
def test_a_run_is_past_its_best_where_it_over_fits_and_validation_gets_worse(losses, expected):
    assert last(losses).is_past_best is expected


def test_a_rise_within_the_tolerance_is_none():
    losses = [(0.5, 1.0), (0.3, 1.09)]
    assert not last(losses, tolerance=0.1).is_past_best
    assert last(losses, tolerance=0.05).is_past_best


def test_every_cycle_is_judged_without_those_that_come_later():
    losses = [(1.0, 1.0), (0.5, 0.7), (0.2, 0.9), (0.1, 0.6)]
    assert words(losses) == [last(losses[: end + 1]).word for end in range(len(losses))]


def test_while_the_number_of_classes_is_not_known_the_losses_are_compared_all_the_same():
    assert words([(1.7, 1.75), (0.1, 0.9)], classes=0) == [RIGHT, OVER]


def test_the_sentence_has_both_losses_the_accuracy_and_the_best_cycle_before():
    sentence = verdicts([Fit(0.3, 0.586, 0.05, 0.75), Fit(0.029, 0.303, 0.05, 0.929)], 2)[1].sentence
    assert sentence == (
        "over-fitting: training loss 0.029 is much lower than validation loss 0.303 (92.9 % right), down "
        "from 0.586 at the best earlier cycle (both losses measured without augmentation, dropout or label "
        "smoothing); it still gets better, so go on; to close the gap, augment more (transforms.*), use "
        "bigger pictures (data.size, or schedule.phases.NAME.size), more dropout (model.head.dropout) or "
        "more weight decay (model.optimizer.weight_decay)"
    )


@pytest.mark.parametrize(
    ("before", "since"),
    [
        (0.8, "down from 0.800 at the best earlier cycle"),
        (0.403, "about level with 0.403 at the best earlier cycle"),
        (0.3, "up from 0.300 at the best earlier cycle"),
    ],
)
def test_the_reason_says_how_the_validation_loss_compares_with_the_best_earlier_cycle(before, since):
    reason = last([(0.3, before), (0.1, 0.4)]).reason
    assert reason == f"training loss 0.100 is much lower than validation loss 0.400, {since}"


def row(phase, accuracy, *rates):
    return {"phase": phase, "val/acc": accuracy} | {f"lr/{index}": rate for index, rate in enumerate(rates)}


HEAD, FINETUNE = row("head", 0.82, 0.0, 1e-3), row("finetune", 0.78, 1e-5, 1e-4)


def test_a_drop_where_layers_are_unfrozen_is_explained_with_its_numbers():
    sentence = unfreezing_drop(HEAD, FINETUNE, pictures=51)
    assert sentence.startswith("The accuracy fell from 82.0 to 78.0 % in the first epoch of finetune: ")
    assert sentence.endswith("It usually recovers within the cycle.")


@pytest.mark.parametrize(
    ("before", "after", "pictures"),
    [
        (HEAD, row("finetune", 0.81, 1e-5, 1e-4), 500),
        (HEAD, row("finetune", 0.90, 1e-5, 1e-4), 51),
        # A single picture of twenty.
        (row("head", 0.85, 0.0, 1e-3), row("finetune", 0.80, 1e-5, 1e-4), 20),
        # No more layers train than before.
        (HEAD, row("augment", 0.70, 0.0, 1e-3), 51),
        (row("finetune", 0.82, 1e-5, 1e-4), FINETUNE, 51),
        ({"phase": "head", "lr/0": 0.0}, {"phase": "finetune", "lr/0": 1e-5}, 0),
        (row("head", math.nan, 0.0), row("finetune", math.nan, 1e-5), 0),
    ],
)
def test_where_nothing_dropped_or_nothing_was_unfrozen_there_is_nothing_to_explain(before, after, pictures):
    assert unfreezing_drop(before, after, pictures) == ""


def test_a_loss_that_is_not_finite_is_never_about_right_and_never_the_best_so_far():
    exploded, after = verdicts([Fit(math.nan, math.nan), Fit(0.3, 0.4)], classes=2)
    assert exploded.word == "under-fitting" and exploded.advice == "lower the learning rate"
    assert (after.word, after.trend) == ("about right", None)
