"""Over-fitting, under-fitting or about right: judged by a training and a validation loss measured alike."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Word = Literal["over-fitting", "under-fitting", "about right"]
Trend = Literal["falling", "level", "rising"]

# Nats: smaller differences between two losses are not worth advice.
_MARGIN = 0.1
# The training loss is much lower if it is below this share of the validation loss.
_MUCH = 2 / 3
# Of the accuracy, in the first epoch of a phase.
_CLEAR_FALL = 0.02
# The training loss in the line of an epoch is another one.
_MEASURED = "(both losses measured without augmentation, dropout or label smoothing)"
_MORE = (
    "augment more (transforms.*), use bigger pictures (data.size, or schedule.phases.NAME.size), more "
    "dropout (model.head.dropout) or more weight decay (model.optimizer.weight_decay)"
)


class Fit(NamedTuple):
    """The end of a cycle; both losses on plain views, in eval mode, without label smoothing.

    Args:
        train: mean loss of training pictures.
        valid: mean loss of the validation pictures.
        error: standard error of `valid`; 0 where it is not known.
        accuracy: on validation, 0 to 1; NaN where it is not known.
    """

    train: float
    valid: float
    error: float = 0.0
    accuracy: float = math.nan


class Verdict(NamedTuple):
    """What the end of a cycle shows.

    Args:
        word: which of the three it is.
        trend: of the validation loss since the best earlier cycle; None at the first one.
        has_diverged: whether the validation loss has risen since then while the training loss fell.
        reason: the numbers in words.
        advice: what to do about it.
    """

    word: Word
    trend: Trend | None
    has_diverged: bool
    reason: str
    advice: str

    @property
    def sentence(self) -> str:
        """The word, its reason, how the losses were measured, and the advice."""
        return f"{self.word}: {self.reason} {_MEASURED}; {self.advice}"

    @property
    def is_past_best(self) -> bool:
        """Whether the run over-fits more and more, so that further epochs make it worse."""
        return self.word == "over-fitting" and self.has_diverged


def verdicts(fits: Sequence[Fit], classes: float, tolerance: float = 0.02) -> list[Verdict]:
    """Return a verdict for the end of each cycle of a run, by the rule of the lesson.

    - Over-fitting: the training loss is much lower than the validation loss: below two thirds of it, and the
      difference is above 0.1 and above the standard error of the validation loss, so that a single picture
      never decides. Or the validation loss has risen since its best cycle while the training loss fell, and
      is more than 0.1 above it.
    - Under-fitting: the validation loss is the lower one, by as much. Or the training loss is still more than
      half of log(classes), the loss of guessing: the network does not even know its training pictures.
    - Under-fitting, too, where a loss is not finite: the weights have exploded.
    - About right: anything else, such as 0.02 on training and 0.05 on validation pictures.

    Args:
        fits: in running order.
        classes: number of classes, or of answers as likely as these: guessing has the logarithm as its loss.
        tolerance: smallest change of the validation loss that counts as a trend, as a fraction of it.

    >>> [each.word for each in verdicts([Fit(1.0, 1.1), Fit(0.3, 0.4), Fit(0.1, 0.9)], classes=2)]
    ['under-fitting', 'about right', 'over-fitting']
    """
    return [_verdict(fits[:index], fit, classes, tolerance) for index, fit in enumerate(fits)]


def unfreezing_drop(before: Mapping[Any, Any], after: Mapping[Any, Any], pictures: int) -> str:
    """Return a sentence on a drop of the accuracy where a phase unfreezes more layers; "" if there is none.

    A drop counts from two percentage points and two validation pictures on. `before` and `after` are the rows
    of metrics.csv of two epochs in succession.
    """
    fall = before.get("val/acc", math.nan) - after.get("val/acc", math.nan)
    unfreezes = before["phase"] != after["phase"] and _num_training(after) > _num_training(before)
    # NaN, where an epoch was not validated, is no fall.
    if not (unfreezes and fall >= _CLEAR_FALL and round(fall * pictures) >= 2):
        return ""
    numbers = f"from {100 * before['val/acc']:.1f} to {100 * after['val/acc']:.1f} %"
    return (
        f"The accuracy fell {numbers} in the first epoch of {after['phase']}: newly unfrozen layers change "
        "the features that the head was fitted to, most of all while the learning rate warms up. It usually "
        "recovers within the cycle."
    )


def _num_training(row: Mapping[Any, Any]) -> int:
    """Return how many layer groups have a learning rate."""
    return sum(name.startswith("lr/") and value > 0 for name, value in row.items())


def _verdict(before: Sequence[Fit], fit: Fit, classes: float, tolerance: float) -> Verdict:
    if not _is_finite(fit):
        losses = f"training loss {fit.train:.3f} and validation loss {fit.valid:.3f} are not finite"
        return Verdict("under-fitting", None, False, losses, "lower the learning rate")
    best = min(filter(_is_finite, before), key=lambda each: each.valid, default=None)
    trend = None if best is None else _trend(best.valid, fit.valid, tolerance)
    has_diverged = best is not None and trend == "rising" and fit.train < best.train
    # While a run goes on, its page may not know the classes yet.
    guessing = math.log(classes) if classes > 1 else math.inf
    word, relation = _judged(fit, has_diverged, guessing)
    return Verdict(word, trend, has_diverged, _reason(fit, relation, best, trend), _advice(word, trend))


def _is_finite(fit: Fit) -> bool:
    return math.isfinite(fit.train) and math.isfinite(fit.valid)


def _judged(fit: Fit, has_diverged: bool, guessing: float) -> tuple[Word, str]:
    """Return the word, and how the training loss compares with the validation loss."""
    gap, margin = fit.valid - fit.train, max(_MARGIN, fit.error)
    if gap > margin and fit.train < _MUCH * fit.valid:
        return "over-fitting", "much lower than"
    if gap > _MARGIN and has_diverged:
        return "over-fitting", "lower than"
    if gap < -margin:
        return "under-fitting", "higher than"
    if fit.train > guessing / 2:
        return "under-fitting", f"more than half the {guessing:.3f} of guessing, with"
    return "about right", "close to" if gap <= _MARGIN else "not clearly lower than"


def _trend(best: float, now: float, tolerance: float) -> Trend:
    if now > (1 + tolerance) * best:
        return "rising"
    return "falling" if now < (1 - tolerance) * best else "level"


def _reason(fit: Fit, relation: str, best: Fit | None, trend: Trend | None) -> str:
    right = "" if math.isnan(fit.accuracy) else f" ({100 * fit.accuracy:.1f} % right)"
    losses = f"training loss {fit.train:.3f} is {relation} validation loss {fit.valid:.3f}{right}"
    if best is None or trend is None:
        return losses
    since = {"falling": "down from", "level": "about level with", "rising": "up from"}
    return f"{losses}, {since[trend]} {best.valid:.3f} at the best earlier cycle"


def _advice(word: Word, trend: Trend | None) -> str:
    if word == "under-fitting":
        return "train longer (n_cycles, cycle_mult), unfreeze more layers, or raise the learning rate"
    if word == "about right":
        return "the best snapshot is kept" if trend == "rising" else "carry on"
    if trend == "falling":
        return f"it still gets better, so go on; to close the gap, {_MORE}"
    return _MORE if trend is None else f"{_MORE}; the best snapshot is kept"
