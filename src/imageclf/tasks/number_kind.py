"""Targets that are numbers in a unit of their own, which losses see standardised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from imageclf import InputError
from imageclf.tasks.kinds import Targets
from imageclf.tasks.number_loss import StandardisedLoss
from imageclf.tasks.number_texts import JOIN, equal_parts, numbers_in, one_of_each


@dataclass(frozen=True)
class OfNumbers:
    """Numbers, one or several of each picture; see `Kind`.

    Args:
        mean: of the training pictures, of each number; None: not measured yet.
        spread: their standard deviation, above 0.
    """

    mean: tuple[float, ...] | None
    spread: tuple[float, ...] | None

    has_accuracy = False
    outputs = "numbers"
    title = "Numbers"
    judged = "judged"
    least_classes = 1
    share = "tenth of the numbers"

    def words(self, classes: Sequence[str]) -> str:
        """Return the names of the numbers."""
        return f"the number{'s' if len(classes) > 1 else ''} {', '.join(map(repr, classes))}"

    def shown(self, labels: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Return the numbers without their names, in class order."""
        return [JOIN.join(each[name] for name in classes if name in each) for each in map(numbers_in, labels)]

    def captions(self, targets: Targets, classes: Sequence[str]) -> list[str]:
        """Return each number after its name."""
        pairs = (zip(classes, row, strict=True) for row in targets.tolist())
        return [", ".join(f"{name} {number:.4g}" for name, number in each) for each in pairs]

    def known(self, targets: Targets) -> NDArray[np.bool_]:
        """Return where nothing is NaN."""
        return np.asarray(~np.isnan(targets).any(axis=1))

    def dealt_by(self, targets: Targets) -> Targets:
        """Return parts of equal size, from low to high numbers, of each column if there are several."""
        parts = [equal_parts(column) for column in targets.T]
        return parts[0] if len(parts) == 1 else one_of_each(parts)

    def on_targets(self, loss: nn.Module) -> nn.Module:
        """Return the loss of standardised numbers."""
        if self.mean is None or self.spread is None:
            return loss
        return StandardisedLoss(loss, self.mean, self.spread)

    def check_mixing(self, node: Mapping[str, Any] | None) -> None:
        """Refuse cutmix: a picture that is cut from two does not have the mean of their numbers.

        Raises:
            InputError: it is on.
        """
        cutmix = 0 if node is None else node.get("cutmix", 0)
        if cutmix:
            raise InputError(
                f"model.mixing.cutmix={cutmix}: a picture that is cut from two does not have the mean of "
                "their numbers; with task=regression give model.mixing.mixup, which blends them"
            )

    def scored(self, probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return both as they are, `[N]` of a single number."""
        return probabilities.squeeze(1), targets.to(probabilities).squeeze(1)

    def in_words(self, rows: pd.DataFrame) -> list[str]:
        """Return the range of each number."""
        return [f"{row.prediction} from {row.lowest:.4g} to {row.highest:.4g}" for row in rows.itertuples()]
