"""Numbers about data sets, runs and their predictions: functions of tables and arrays, without torch."""

from imageclf.analysis.balance import class_balance
from imageclf.analysis.confusion import class_accuracies, confusion_matrix, most_confused
from imageclf.analysis.extremes import most_right, most_uncertain, most_wrong
from imageclf.analysis.folds import Folds, find_folds, fold_table, out_of_fold
from imageclf.analysis.predictions_csv import (
    label_indices,
    predictions_table,
    probabilities_of,
    read_classes,
    read_predictions,
    write_predictions,
)
from imageclf.analysis.problems import KINDS, Problem, Twins, count_kinds, find_problems, find_twins
from imageclf.analysis.run_settings import RunRecord, flatten
from imageclf.analysis.runs_table import less_is_better, run_table, sort_runs
from imageclf.analysis.scores import accuracy, log_loss
from imageclf.analysis.submission import label_submission, probability_submission, write_submission

__all__ = [
    "KINDS",
    "Folds",
    "Problem",
    "RunRecord",
    "Twins",
    "accuracy",
    "class_accuracies",
    "class_balance",
    "confusion_matrix",
    "count_kinds",
    "find_folds",
    "find_problems",
    "find_twins",
    "flatten",
    "fold_table",
    "label_indices",
    "label_submission",
    "less_is_better",
    "log_loss",
    "most_confused",
    "most_right",
    "most_uncertain",
    "most_wrong",
    "out_of_fold",
    "predictions_table",
    "probabilities_of",
    "probability_submission",
    "read_classes",
    "read_predictions",
    "run_table",
    "sort_runs",
    "write_predictions",
    "write_submission",
]
