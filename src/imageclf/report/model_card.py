"""What goes with an exported model: what it tells apart, how good it is, and what to expect of it."""

import math
from collections.abc import Mapping, Sequence

from imageclf.analysis.scores import wilson_interval
from imageclf.report.page import percent
from imageclf.report.reported import choice_sentence, number_scores, scores_in_words, tested_sentence
from imageclf.report.run_files import CandidateScore
from imageclf.system.words import counted, joined
from imageclf.tasks import task_of

# Names of classes before the rest is counted.
_MOST_NAMES = 20


def model_card(
    classes: Sequence[str],
    summary: Mapping[str, object],
    exported: CandidateScore | None,
    backbone: str,
    origin: str,
) -> str:
    """Return a section of Markdown on a model.

    `exported` has its scores on the validation pictures; None: nothing was held out. `backbone` is a timm
    name, or that of the user's class, and `origin` what `origin_of` returns.
    """
    is_reported = exported is not None and exported.name == summary.get("model")
    choice = choice_sentence(summary) if is_reported else ""
    task = task_of(summary)
    rows = {
        task.kind.title: _names(classes),
        "Trained on": f"{counted(_count(summary, 'num_train'), 'picture')}, in {backbone}",
        "Result": _result(exported, summary, choice),
        "Test": tested_sentence(summary) if is_reported else "",
        "Limits": (
            f"{task.limits}. Pictures unlike those it was trained on, "
            f"of another camera or in another light, may be {task.kind.judged} less well: measure it on "
            "your own."
        ),
        "Weights": origin,
    }
    told = [f"- **{name}**: {words}" for name, words in rows.items() if words]
    return "\n".join(["## About this model", "", *told])


def origin_of(weights: object, backbone: str, licence: str) -> str:
    """Return where the weights of a network began, and which terms may hold for them.

    `weights` is `model.weights` of the run: hub, packaged, none, or the path of a file. `licence` is what
    timm gives for the pretrained weights, "" where it gives none.
    """
    if weights in ("hub", "packaged"):
        terms = f"timm gives the licence {licence} for them" if licence else "timm gives no licence for them"
        return f"training began with pretrained weights of {backbone}; {terms}. Your data may add terms."
    began = f"as {backbone} makes them" if weights in ("none", None) else "with a file of weights"
    return f"training began {began}; terms of that code, of the file and of your data may hold."


def _names(classes: Sequence[str]) -> str:
    return joined([f"`{name}`" for name in classes], _MOST_NAMES)


def _count(summary: Mapping[str, object], key: str) -> int:
    number = summary.get(key)
    return number if isinstance(number, int) else 0


def _result(exported: CandidateScore | None, summary: Mapping[str, object], choice: str) -> str:
    pictures = _count(summary, "model/pictures")
    if exported is None or not pictures:
        return "unknown, because no picture was held out."
    if math.isnan(exported.accuracy):
        scores = scores_in_words(number_scores(summary)) if exported.name == summary.get("model") else ""
        # The loss is in squared standard deviations, whatever the unit is.
        words = scores or f"a mean squared error of {exported.loss:.4g} standardised"
        return f"{words} on {pictures:,} validation pictures. {choice}".rstrip()
    right = round(exported.accuracy * pictures)
    low, high = wilson_interval(right, pictures)
    return (
        f"{right:,} of {pictures:,} validation pictures right ({percent(exported.accuracy, pictures)}; 95 % "
        f"interval {percent(low)} to {percent(high)}). {choice}"
    ).rstrip()
