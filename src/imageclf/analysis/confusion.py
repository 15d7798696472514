"""Which classes are taken for which."""

import numpy as np
from numpy.typing import NDArray

from imageclf import InputError


def confusion_matrix(
    labels: NDArray[np.integer], predictions: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """Count the pictures of each class by what they were taken for, `[C, C]`.

    Rows are the truth, columns the prediction. `labels` and `predictions` are `[N]` with values in 0..C-1.

    Raises:
        InputError: the lengths differ or a value is outside 0..C-1.
    """
    if labels.shape != predictions.shape:
        raise InputError(f"{len(labels)} labels do not go with {len(predictions)} predictions: give one each")
    for name, values in (("label", labels), ("prediction", predictions)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise InputError(
                f"a {name} is outside 0..{num_classes - 1} (they run from {values.min()} to {values.max()}): "
                "leave out pictures without a known class"
            )
    # Labels of a small type such as uint8 would overflow in the product.
    cells = labels.astype(np.int64) * num_classes + predictions
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def most_confused(matrix: NDArray[np.integer], classes: list[str]) -> list[tuple[str, str, int]]:
    """Return the mistakes as (truth, prediction, count), most frequent first.

    `matrix` is `[C, C]` with the truth in rows; equal counts stay in class order.

    Source: `interp.most_confused()` of fast.ai.
    """
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    truths, predictions = np.nonzero(mistakes)
    pairs = [
        (classes[truth], classes[prediction], int(matrix[truth, prediction]))
        for truth, prediction in zip(truths, predictions, strict=True)
    ]
    # sorted is stable, which keeps equal counts in class order.
    return sorted(pairs, key=lambda pair: -pair[2])
