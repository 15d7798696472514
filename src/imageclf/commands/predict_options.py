"""What imageclf-predict takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imageclf import InputError
from imageclf.evaluation.tta_presets import DRAWN, PLAIN, Preset, WeightedViews, weighted_views
from imageclf.training.parts.accelerator import precision_of


@dataclass(frozen=True)
class PredictOptions:
    """What imageclf-predict takes.

    conf/commands/predict.yaml explains each key.
    """

    run: str | Sequence[str]
    data: str | Sequence[str]
    weights: str
    thresholds: str | None
    tta: Preset | None
    num_augmented: int | None
    beta: float | None
    output: str | None
    batch_size: int
    num_workers: int | Literal["auto"]
    on_error: Literal["skip", "raise"]
    column: str | None
    sample: str | None
    overwrite: bool
    precision: str
    trust: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse views that there cannot be, and no run."""
        if not self.run:
            raise InputError("run=[]: name a finished run, or several")
        if self.tta is not None and self.tta not in DRAWN and self.num_augmented is not None:
            raise InputError(f"num_augmented={self.num_augmented}: tta={self.tta} has fixed views")
        if self.beta is not None and self.tta is None and self.num_augmented is None:
            raise InputError(f"beta={self.beta}: give tta=fastai2 or another one, too")
        self.views()
        precision_of({"precision": self.precision}, "precision")

    def views(self) -> WeightedViews:
        """Return the views of each picture.

        Raises:
            InputError: a number is outside its range.
        """
        if self.tta is None and self.num_augmented is None:
            return PLAIN
        num_augmented = 4 if self.num_augmented is None else self.num_augmented
        return weighted_views(self.tta or "fastai07", num_augmented, self.beta)

    @property
    def runs(self) -> list[str]:
        """Return the runs as given, in order."""
        return [self.run] if isinstance(self.run, str) else list(self.run)

    @property
    def tag(self) -> str:
        """Return what the CSV's name says of how it was made, such as -final-fastai07; "" for nothing."""
        has_views = len(self.views().numbers) > 1
        parts = [self.weights] if self.weights != "best" else []
        parts += ["thresholds"] if self.thresholds is not None else []
        parts += [self.tta or "fastai07"] if has_views else []
        parts += [f"mean-of-{len(self.runs)}"] if len(self.runs) > 1 else []
        return "".join(f"-{part}" for part in parts)
