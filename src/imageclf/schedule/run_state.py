"""What a run learns on its way: the few facts that its position does not determine."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class RunState:
    """What the parts of one run tell each other; there is one object per run, and its owners save it.

    Attributes:
        start: (epoch, batch) of the first batch to train. Checkpoint saves and restores it; the data skips
            what lies before it.
        found_lrs: the head's learning rate of each phase with `lr: auto`. LrFinder writes and saves it;
            WarmRestarts, History and Plan read it.
        val_losses: validation loss by epoch. WarmRestarts writes and saves it, and anneals on a plateau by
            it; History reads it.
        scores: of the current epoch, by their column in metrics.csv. The module, TTA and FitVerdict record
            them; WarmRestarts reads val/loss; History writes the row and clears them.
        reports: the candidate that the files at the end of the run speak of: the best on validation, that
            only where it is clearly better than the final weights, or these. Report writes it; Snapshots
            reads it.
        results: of the whole run, by their key in summary.json. TTA, Snapshots and Summary add theirs;
            Summary writes the file.
    """

    start: tuple[int, int] = (0, 0)
    found_lrs: dict[str, float] = field(default_factory=dict)
    val_losses: dict[int, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    reports: Literal["clear_best", "best", "final"] = "clear_best"
    results: dict[str, float | int | str] = field(default_factory=dict)
