"""What a finished run says last: its result in words, and the commands that come next."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from imageclf.report.page import percent
from imageclf.report.reported import number_scores, scores_in_words
from imageclf.report.run_commands import run_arguments
from imageclf.system.progress import duration
from imageclf.system.words import counted

# What a run writes for its user, and what it is called.
RESULTS = {"report.html": "report", "predictions": "predictions", "submission.csv": "submission"}


def closing_words(
    run_dir: Path, summary: Mapping[str, Any], written: Collection[str], modules: Sequence[str] = ()
) -> list[str]:
    """Return the lines that a finished run ends with.

    `written` has those of `RESULTS` that there are, and `modules` the user's own, which predict and
    export have to trust. What the summary lacks is left out.
    """
    paths = {name: (run_dir / name).absolute() for name in RESULTS if name in written}
    rows = [*result_rows(summary), *((RESULTS[name], str(path)) for name, path in paths.items())]
    run = run_arguments(run_dir, modules)
    commands = [
        ("predict", f"imageclf-predict {run} data=FOLDER"),
        ("export", f"imageclf-export {run} format=onnx"),
    ]
    if "report.html" in paths:
        commands.insert(0, ("open the report", f"python -m webbrowser {paths['report.html'].as_uri()}"))
    return ["the run is done", *_table(rows), "next", *_table(commands)]


def result_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the result of a finished run as (name, words); what its summary.json lacks is left out."""
    known = {name: value for name, value in summary.items() if value is not None}
    trained = f"{counted(known.get('num_train', 0), 'picture')}, {counted(known.get('epochs', 0), 'epoch')}"
    rows = {
        "model": known.get("model"),
        "scores": _scores(known),
        "accuracy": None if _scores(known) else _accuracy(known),
        "to expect": _expected(known),
        "with TTA": _percent(known.get("val/acc_tta"), ", measured for the final weights"),
        "on test": _percent(known.get("test/acc"), f" of {counted(known.get('num_test', 0), 'picture')}"),
        "trained on": trained,
        "time": duration(known["seconds"]) if "seconds" in known else None,
    }
    return [(name, words) for name, words in rows.items() if words is not None]


def _scores(known: Mapping[str, Any]) -> str | None:
    scores = number_scores(known)
    if not scores:
        return None
    return f"{scores_in_words(scores)} on {known.get('model/pictures', 0):,} validation pictures"


def _accuracy(known: Mapping[str, Any]) -> str:
    accuracy = known.get("model/acc", known.get("val/acc"))
    if accuracy is None:
        return "unknown, because no picture was held out"
    low, high = known.get("model/acc_low"), known.get("model/acc_high")
    interval = _interval(low, high) if low is not None else ""
    pictures = known.get("model/pictures", known.get("num_valid", 0))
    return f"{_percent(accuracy)} of {pictures:,} validation pictures{interval}"


def _expected(known: Mapping[str, Any]) -> str | None:
    accuracy = known.get("val/acc_best_crossfit")
    if accuracy is None or known.get("model/chosen") is not True:
        return None
    interval = _interval(*(known.get(f"val/acc_best_crossfit_{end}") for end in ("low", "high")))
    return f"{_percent(accuracy)}{interval}, measured on pictures that did not choose the model"


def _interval(low: float | None, high: float | None) -> str:
    return f" (95 % interval: {_percent(low)} to {_percent(high)})"


def _percent(fraction: float | None, more: str = "") -> str | None:
    return None if fraction is None else f"{percent(fraction)}{more}"


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"  {name:<{width}}  {words}" for name, words in rows]
