"""What a run predicts of some pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.predictions_csv import probabilities_of
from imageclf.data.views.augmentation import Picture
from imageclf.report.notebook import SHOWN, predictions_html
from imageclf.system.printable import printable
from imageclf.system.words import counted
from imageclf.tasks import MULTICLASS, Task

# Classes that a line names.
_NAMED = 5


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What a run predicts of pictures, a row per picture.

    Args:
        table: as `to_pandas` returns it.
        classes: in the order of the probabilities.
        skipped: files that cannot be read: id, path, reason.
        thumbnails: of the first pictures, where they are in memory.
        task: what a label is.
    """

    table: pd.DataFrame
    classes: tuple[str, ...]
    skipped: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["id", "path", "reason"], dtype="str")
    )
    thumbnails: Sequence[Picture] = ()
    task: Task = MULTICLASS

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> list[str]:
        """The id of each picture: its name below the folder that was given, or its number in memory."""
        return self.table["id"].tolist()

    @property
    def paths(self) -> list[str]:
        """The absolute path of each picture; "" in memory."""
        return self.table["path"].tolist()

    @property
    def labels(self) -> list[str]:
        """The most probable class of each picture; with several labels those that reach their threshold."""
        return self.table["prediction"].tolist()

    @property
    def truth(self) -> list[str]:
        """The true class of each picture; "" where it is unknown."""
        return self.table["label"].tolist()

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The probabilities `[N, C]`, columns in the order of `classes`."""
        return probabilities_of(self.table, self.classes)

    def to_pandas(self) -> pd.DataFrame:
        """Return the table that imageclf-predict writes: id, path, label, prediction, and a column per class.

        The label is the true class, "" where it is unknown. A class named like one of the first four columns
        is headed `class:NAME`.
        """
        return self.table.copy()

    def __repr__(self) -> str:
        return f"<Prediction: {self._sentence()}>"

    def _repr_html_(self) -> str:
        # Of several labels a tile has no single truth to compare with.
        table = self.table if self.task.is_exclusive else self.table.assign(label="")
        return predictions_html(self._sentence(), table, self.classes, self.thumbnails[:SHOWN])

    def _sentence(self) -> str:
        rows = self.task.summary(self.table, self.classes)
        named = self.task.kind.in_words(rows[:_NAMED])
        named += [f"{len(rows) - _NAMED} more classes"] if len(rows) > _NAMED else []
        skipped = f"; {len(self.skipped):,} skipped" if len(self.skipped) else ""
        return printable(f"{counted(len(self), 'picture')}: {', '.join(named)}{skipped}")
