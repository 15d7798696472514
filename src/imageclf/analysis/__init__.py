"""Numbers about data sets, runs and their predictions: functions of tables and arrays, without torch."""

from imageclf.analysis.balance import class_balance
from imageclf.analysis.folds import (
    Folds,
    find_folds,
    find_seeds,
    fold_summary,
    fold_table,
    joint_facts,
    out_of_fold,
    seed_table,
)
from imageclf.analysis.predictions_csv import (
    class_summary,
    predictions_table,
    read_predictions,
    write_predictions,
)
from imageclf.analysis.problems import HINTS, KINDS, count_kinds, find_problems, find_twins
from imageclf.analysis.run_settings import RunRecord, flatten
from imageclf.analysis.runs_table import less_is_better, run_table, sort_runs
from imageclf.analysis.submission import (
    label_submission,
    probability_submission,
    submission_of,
    write_submission,
)

__all__ = [
    "HINTS",
    "KINDS",
    "Folds",
    "RunRecord",
    "class_balance",
    "class_summary",
    "count_kinds",
    "find_folds",
    "find_problems",
    "find_seeds",
    "find_twins",
    "flatten",
    "fold_summary",
    "fold_table",
    "joint_facts",
    "label_submission",
    "less_is_better",
    "out_of_fold",
    "predictions_table",
    "probability_submission",
    "read_predictions",
    "run_table",
    "seed_table",
    "sort_runs",
    "submission_of",
    "write_predictions",
    "write_submission",
]
