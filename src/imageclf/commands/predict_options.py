"""What imageclf-predict takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imageclf import InputError
from imageclf.evaluation.tta_presets import DRAWN, PLAIN, Preset, WeightedViews, weighted_views


@dataclass(frozen=True)
class PredictOptions:
    """What imageclf-predict takes.

    Args:
        run: directory of a finished run, or several, whose probabilities are averaged.
        data: a picture, a folder of them at any depth, a CSV of paths, - for paths on standard input, or
            several of these.
        weights: best, which is the model that the run reports; final, average, average_bn, soup, soup_bn,
            ensemble, ema, or a snapshot PHASE-CYCLE.
        thresholds: thresholds.json of imageclf-collect, by which labels are decided; None: those of the runs.
        tta: views of test-time augmentation; None: fastai07 if `num_augmented` is given, else none.
        num_augmented: views in addition to the picture itself; None: 4 where `tta` takes a number.
        beta: weight of the picture itself, 0 to 1; None: that of `tta`.
        output: the CSV; None: a name made of what is predicted, and how, in the first run's `predictions/`.
        batch_size: pictures at once.
        num_workers: processes that read pictures; auto: as in training.
        on_error: a picture that cannot be read: skip and list it, or raise.
        column: of a CSV, the one with the paths; None: `path`, or the only one.
        sample: sample_submission CSV, which is filled in as well; None: none.
        overwrite: whether files of another content may be replaced.
        precision: of the arithmetic, as `trainer.precision`.
        trust: further modules whose classes the run's config.yaml may name, or all.
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
