"""What tuned thresholds are worth on pictures that they have not seen."""

import numpy as np
import pytest
from sklearn import metrics

from imageclf.tasks import Multilabel
from imageclf.tasks.joint import joint_label_scores
from imageclf.tasks.label_sets import rarest
from imageclf.tasks.thresholds import best_thresholds, crossfitted_fbeta, decided_by_others, macro_fbeta


def draw(number, seed):
    """Return probabilities and targets of pictures with five classes, most of it chance."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((number, 5)) < [0.5, 0.4, 0.3, 0.2, 0.15]).astype(np.float32)
    noise = generator.normal(scale=1.5, size=targets.shape)
    return 1 / (1 + np.exp(-(targets - 1 + noise))), targets


def test_a_picture_is_decided_by_thresholds_of_other_parts_alone():
    (probabilities, targets), parts = draw(60, 0), np.arange(60) % 3
    before = decided_by_others(probabilities, targets, 1.0, parts)
    for part in range(3):
        other = np.where((parts == part)[:, None], 1 - targets, targets)
        after = decided_by_others(probabilities, other, 1.0, parts)
        assert (after[parts == part] == before[parts == part]).all()
        assert (after != before).any()


def test_the_cross_fitted_f_is_that_of_new_pictures_while_the_tuned_one_is_too_high():
    new = draw(20_000, 99)
    tuned, crossfitted, true = [], [], []
    for seed in range(12):
        probabilities, targets = draw(80, seed)
        thresholds = best_thresholds(probabilities, targets, 1.0)
        tuned.append(macro_fbeta(probabilities >= thresholds, targets, 1.0))
        crossfitted.append(crossfitted_fbeta(probabilities, targets, 1.0, rarest(targets)))
        true.append(macro_fbeta(new[0] >= thresholds, new[1], 1.0))
    assert np.mean(tuned) - np.mean(true) > 0.05
    assert np.mean(crossfitted) == pytest.approx(np.mean(true), abs=0.02)


def test_the_cross_fitted_f_of_one_picture_is_unknown_and_that_of_a_fixed_threshold_is_not_asked_for():
    probabilities, targets = draw(1, 0)
    assert np.isnan(crossfitted_fbeta(probabilities, targets, 1.0, rarest(targets)))
    assert Multilabel(threshold=0.5).crossfitted(*draw(60, 0)) == {}
    assert Multilabel(beta=2).crossfitted(*draw(60, 0)).keys() == {"f2_macro_crossfit"}


def test_joined_predictions_are_scored_as_scikit_learn_does():
    probabilities, targets = draw(90, 3)
    taken = probabilities >= 0.4
    found = joint_label_scores(probabilities, targets, taken, 2.0, None)
    assert found == pytest.approx(
        {
            "acc": metrics.accuracy_score(targets, taken),
            "map": metrics.average_precision_score(targets, probabilities),
            "f2_macro": metrics.fbeta_score(targets, taken, beta=2, average="macro"),
        }
    )
