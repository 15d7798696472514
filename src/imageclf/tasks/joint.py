"""Scores of predictions that several runs made together, each of the pictures that it held out."""

import numpy as np
from numpy.typing import NDArray

from imageclf.analysis.scores import explained_variance, mean_precision
from imageclf.tasks.thresholds import decided_by_others, macro_fbeta


def joint_label_scores(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.floating],
    taken: NDArray[np.bool_],
    beta: float,
    parts: NDArray[np.integer] | None,
) -> dict[str, float]:
    """Return acc, map and macro F-beta of labels; the latter cross-fitted, too, if there are several parts.

    `targets` are 0 and 1, and `taken` are the predicted classes, both `[N, C]`. `parts` says which run
    predicted each picture, `[N]`: its thresholds are tuned on the pictures of the other runs. None:
    thresholds are not tuned.
    """
    name = f"f{beta:g}_macro"
    scores = {
        "acc": float((taken == (targets == 1)).all(axis=1).mean()),
        "map": mean_precision(targets == 1, probabilities),
        name: macro_fbeta(taken, targets, beta),
    }
    if parts is None or len(np.unique(parts)) < 2:
        return scores
    by_others = decided_by_others(probabilities, targets, beta, parts)
    return scores | {f"{name}_crossfit": macro_fbeta(by_others, targets, beta)}


def joint_number_scores(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> dict[str, float]:
    """Return r2, mae and rmse of numbers `[N, C]`, means over the columns."""
    return {
        "r2": float(explained_variance(predicted, truth).mean()),
        "mae": float(np.abs(predicted - truth).mean()),
        "rmse": float(np.sqrt(((predicted - truth) ** 2).mean(axis=0)).mean()),
    }
