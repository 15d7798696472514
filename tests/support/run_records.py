"""Records of made-up runs."""

import pandas as pd

from imageclf.analysis.predictions_csv import predictions_table
from imageclf.analysis.run_settings import RunRecord, flatten
from imageclf.tasks import MULTICLASS


def record(name="0", config=None, accuracies=(0.5,), **given) -> RunRecord:
    """Return a finished run with these accuracies after its epochs."""
    metrics = pd.DataFrame({"epoch": range(len(accuracies)), "phase": "head", "val/acc": accuracies})
    metrics = metrics.assign(**{"val/loss": 1 - metrics["val/acc"], "seconds": 60.0})
    defaults = {
        "status": "finished", "cause": "", "choices": {}, "metrics": metrics, "epochs": len(accuracies),
        "summary": {"val/acc": accuracies[-1], "val/acc_best": max(accuracies)} if accuracies else {},
        "task": MULTICLASS, "predictions": pd.DataFrame(), "classes": [], "report": "",
    }  # fmt: skip
    return RunRecord(name=name, config=flatten(config or {}), **(defaults | given))


def fold(number: int, probabilities, labels, name=None, **config) -> RunRecord:
    """Return a finished run of one fold that held out these pictures."""
    ids = [f"{number}-{index}" for index in range(len(labels))]
    table = predictions_table(ids, ids, labels, probabilities, ["cat", "dog"])
    node = {"data": {"fold": number, "folds": 3}, **config}
    right = float((probabilities.argmax(1) == [["cat", "dog"].index(label) for label in labels]).mean())
    return record(name or f"sweep/{number}", node, (right,), predictions=table, classes=["cat", "dog"])
