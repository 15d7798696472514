"""The model that a run reports, in numbers and words, and the candidates it was compared with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imageclf.analysis.scores import wilson_interval
from imageclf.report.page import percent
from imageclf.report.run_files import CandidateScore
from imageclf.system.words import joined
from imageclf.tasks import task_of

_MIXTURES = {
    "average": "the average of the weights of {}",
    "average_bn": "the average of the weights of {}, with batch norm measured anew",
    "soup": "the greedy soup of {}",
    "soup_bn": "the greedy soup of {}, with batch norm measured anew",
    "ensemble": "the ensemble of {}",
}
_SINGLE = {"final": "the final weights", "ema": "the moving average of the weights"}
_CHOSEN = "It was chosen for doing best on these very pictures, so expect a little less on new ones."
_NOT_CLEARLY = "No other candidate is clearly better on these pictures"
_ACCURACY = ("acc", "acc_low", "acc_high")


@dataclass(frozen=True)
class ReportedModel:
    """The model that made a run's predictions, and its scores on the validation pictures.

    `name` is what `weights=NAME` takes, and `title` the same in words. `low` and `high` are the ends of the
    accuracy's 95 % interval. Where numbers are predicted, these three are NaN, and `scores` has others, such
    as mae.
    """

    name: str
    title: str
    accuracy: float
    low: float
    high: float
    loss: float
    pictures: int
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_accuracy(self) -> bool:
        """Return whether its predictions are right or wrong."""
        return not math.isnan(self.accuracy)

    @property
    def right(self) -> int:
        """Return how many pictures are classified correctly; 0 of numbers."""
        return round(self.accuracy * self.pictures) if self.has_accuracy else 0


@dataclass(frozen=True)
class CandidateRow:
    """One candidate: its name, the same in words, its scores, and whether it is the one reported.

    `alike` names the others with the same predictions, as after one cycle, when there is one snapshot to
    average or to mix.
    """

    name: str
    title: str
    alike: list[str]
    accuracy: float
    loss: float
    right: int
    is_reported: bool


def reported_model(
    summary: Mapping[str, object], candidates: Sequence[CandidateScore]
) -> ReportedModel | None:
    """Return the model that a run reports; None if the summary has no scores of one."""
    scores = number_scores(summary)
    numbers = (dict.fromkeys(_ACCURACY, math.nan) if scores else {}) | _model_numbers(summary)
    if not {*_ACCURACY, "loss", "pictures"} <= set(numbers):
        return None
    name = str(summary.get("model"))
    title = candidate_title(name, _members(name, candidates))
    accuracy, low, high = (numbers[key] for key in _ACCURACY)
    return ReportedModel(name, title, accuracy, low, high, numbers["loss"], int(numbers["pictures"]), scores)


def number_scores(summary: Mapping[str, object]) -> dict[str, float]:
    """Return the scores of the reported model of a run that predicts numbers; none of any other.

    Its loss alone if the run has no metrics.

    >>> number_scores({"task": "regression", "model/loss": 0.1, "model/pictures": 8, "model/mae": 2.5})
    {'mae': 2.5}
    """
    if task_of(summary).kind.has_accuracy:
        return {}
    numbers = _model_numbers(summary)
    others = {name: value for name, value in numbers.items() if name not in ("loss", "pictures", "chosen")}
    return others or {name: numbers[name] for name in ("loss",) if name in numbers}


def _model_numbers(summary: Mapping[str, object]) -> dict[str, float]:
    """Return the numbers of the keys `model/NAME`, by NAME."""
    return {
        key.removeprefix("model/"): float(value)
        for key, value in summary.items()
        if key.startswith("model/") and isinstance(value, int | float)
    }


def scores_in_words(scores: Mapping[str, float]) -> str:
    """Return scores in a line.

    >>> scores_in_words({"mae": 2.53219, "r2": 0.91})
    'mae 2.532, r2 0.91'
    """
    return ", ".join(f"{name} {value:.4g}" for name, value in scores.items())


def candidate_rows(candidates: Sequence[CandidateScore], model: ReportedModel | None) -> list[CandidateRow]:
    """Return the candidates, best first, those with the same predictions in one row; none without a model."""
    if model is None:
        return []
    groups: dict[tuple[float, float], list[CandidateScore]] = {}
    # Different predictions do not have the same mean loss to nine places.
    for each in sorted(candidates, key=lambda each: each.name != model.name):
        accuracy = 0.0 if math.isnan(each.accuracy) else each.accuracy
        groups.setdefault((-accuracy, round(each.loss, 9)), []).append(each)
    return [
        CandidateRow(
            name=first.name,
            title=candidate_title(first.name, first.members),
            alike=[each.name for each in rest],
            accuracy=first.accuracy,
            loss=first.loss,
            right=0 if math.isnan(first.accuracy) else round(first.accuracy * model.pictures),
            is_reported=first.name == model.name,
        )
        for _, (first, *rest) in sorted(groups.items())
    ]


def augmented_sentence(summary: Mapping[str, object], pictures: int) -> str:
    """Return what test-time augmentation does for the final weights, "" where it was not measured.

    It is no candidate: any of them may be predicted with it. `pictures` counts the validation split.
    """
    accuracy, loss, plain = (summary.get(key) for key in ("val/acc_tta", "val/loss_tta", "val/loss"))
    if accuracy is None and isinstance(loss, int | float) and isinstance(plain, int | float):
        return (
            f"With test-time augmentation the loss of the final weights is {loss:.4f}, without {plain:.4f}."
        )
    if not (isinstance(accuracy, int | float) and isinstance(loss, int | float)):
        return ""
    counts = f"{round(accuracy * pictures):,} of {pictures:,} pictures ({percent(accuracy, pictures)})"
    return f"With test-time augmentation the final weights get {counts} right, with a log loss of {loss:.4f}."


def tested_sentence(summary: Mapping[str, object]) -> str:
    """Return how good the reported model is on labelled test pictures, "" where there are none."""
    accuracy, pictures = summary.get("test/acc"), summary.get("num_test")
    if not isinstance(accuracy, int | float) or not isinstance(pictures, int) or pictures < 1:
        return ""
    right = round(accuracy * pictures)
    low, high = wilson_interval(right, pictures)
    return (
        f"{right:,} of {pictures:,} test pictures right ({percent(accuracy, pictures)}; 95 % interval "
        f"{percent(low)} to {percent(high)}). They had no part in choosing the model."
    )


def choice_sentence(summary: Mapping[str, object]) -> str:
    """Return what follows from choosing the reported model on the validation pictures; "" if it was not.

    >>> choice_sentence({"model/chosen": True})
    'It was chosen for doing best on these very pictures, so expect a little less on new ones.'
    >>> choice_sentence({"model/chosen": True, "model": "final", "best": "soup"})
    'No other candidate is clearly better on these pictures: the best is soup.'
    """
    if summary.get("model/chosen") is not True:
        return ""
    is_best = summary.get("best", summary.get("model")) == summary.get("model")
    ends = [summary.get(f"val/acc_best_crossfit{end}") for end in ("", "_low", "_high")]
    numbers = [each for each in (summary.get("val/acc_best"), *ends) if isinstance(each, int | float)]
    # Runs of earlier versions have none, and neither has one with a single validation picture.
    if len(numbers) < 4:
        return _CHOSEN if is_best else f"{_NOT_CLEARLY}: the best is {summary['best']}."
    best, accuracy, low, high = map(percent, numbers)
    to_expect = f"{accuracy} right (95 % interval {low} to {high}), which is what to expect on new ones."
    if is_best:
        return (
            f"It was chosen for its {best} on these very pictures; chosen by one half of them and scored by "
            f"the other, the best candidate gets {to_expect}"
        )
    return (
        f"{_NOT_CLEARLY}: the best, {summary['best']}, gets {best} right. Chosen by one half of them and "
        f"scored by the other, the model gets {to_expect}"
    )


def candidate_title(name: str, members: Sequence[str]) -> str:
    """Return what a candidate is, in words that follow "is"; `members` are the snapshots it is made of.

    >>> candidate_title("ensemble", ["head-0", "finetune-0"]), candidate_title("finetune-1", ["finetune-1"])
    ('the ensemble of head-0 and finetune-0', 'the snapshot finetune-1')
    """
    if name in _SINGLE:
        return _SINGLE[name]
    if name in _MIXTURES:
        return _MIXTURES[name].format(joined(members) or "several snapshots")
    return f"the snapshot {name}"


def model_sentence(summary: Mapping[str, object], candidates: Sequence[CandidateScore]) -> str:
    """Return which model a run reports, and how good it is on the validation pictures."""
    model = reported_model(summary, candidates)
    if model is None:
        name = str(summary.get("model"))
        title = candidate_title(name, _members(name, candidates))
        return f"The reported model is {title}. No pictures were held out to measure how good it is."
    if not model.has_accuracy:
        words = f"{scores_in_words(model.scores)} on {model.pictures:,} validation pictures"
        return f"The reported model is {model.title}: {words}. {choice_sentence(summary)}".rstrip()
    counts = f"{model.right:,} of {model.pictures:,} validation pictures right"
    share = percent(model.accuracy, model.pictures)
    interval = f"95 % interval {percent(model.low).removesuffix(' %')} to {percent(model.high)}"
    sentence = f"The reported model is {model.title}: {counts} ({share}; {interval})."
    return f"{sentence} {choice_sentence(summary)}".rstrip()


def _members(name: str, candidates: Sequence[CandidateScore]) -> Sequence[str]:
    return next((each.members for each in candidates if each.name == name), [])
