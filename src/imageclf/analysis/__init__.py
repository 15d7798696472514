"""What a run learned and where it fails: pure functions on tables and arrays, plots, submissions, the report.

Nothing here trains or imports torch: everything works on numpy arrays, pandas tables and the files of a run
directory.
"""

from imageclf.analysis.balance import class_balance
from imageclf.analysis.confusion import confusion_matrix, most_confused
from imageclf.analysis.data_numbers import data_cards
from imageclf.analysis.data_report import DataAnalysis, write_data_report
from imageclf.analysis.extremes import most_right, most_uncertain, most_wrong
from imageclf.analysis.folds import Folds, find_folds, fold_table, out_of_fold
from imageclf.analysis.plot_confusion import confusion_figure
from imageclf.analysis.plot_lr_find import lr_find_figure
from imageclf.analysis.plot_style import save_figure
from imageclf.analysis.plots import accuracy_figure, learning_rate_figure, loss_figure
from imageclf.analysis.predictions import (
    label_indices,
    predictions_table,
    probabilities_of,
    read_classes,
    read_predictions,
    write_predictions,
)
from imageclf.analysis.problems import KINDS, Problem, Twins, count_kinds, find_problems, find_twins
from imageclf.analysis.report import write_report
from imageclf.analysis.run_settings import RunRecord, flatten
from imageclf.analysis.runs_report import Runs, write_runs_report
from imageclf.analysis.runs_table import less_is_better, run_table, sort_runs
from imageclf.analysis.scores import accuracy, class_accuracies, log_loss
from imageclf.analysis.sheet import NUM_VIEWS
from imageclf.analysis.submission import label_submission, probability_submission, write_submission

__all__ = [
    "KINDS",
    "NUM_VIEWS",
    "DataAnalysis",
    "Folds",
    "Problem",
    "RunRecord",
    "Runs",
    "Twins",
    "accuracy",
    "accuracy_figure",
    "class_accuracies",
    "class_balance",
    "confusion_figure",
    "confusion_matrix",
    "count_kinds",
    "data_cards",
    "find_folds",
    "find_problems",
    "find_twins",
    "flatten",
    "fold_table",
    "label_indices",
    "label_submission",
    "learning_rate_figure",
    "less_is_better",
    "log_loss",
    "loss_figure",
    "lr_find_figure",
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
    "save_figure",
    "sort_runs",
    "write_data_report",
    "write_predictions",
    "write_report",
    "write_runs_report",
    "write_submission",
]
