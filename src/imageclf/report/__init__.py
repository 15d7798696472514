"""Pages, plots and tables of the numbers in analysis. Imports no torch."""

from imageclf.report.data_numbers import data_cards
from imageclf.report.data_page import DataAnalysis, write_data_report
from imageclf.report.model_pictures import ReportedHeatmaps, TrainingViews
from imageclf.report.plots.curves import learning_rate_figure
from imageclf.report.plots.lr_find_plot import lr_find_figure
from imageclf.report.plots.sheet import NUM_VIEWS, Sample
from imageclf.report.plots.style import save_figure
from imageclf.report.run_page import write_report
from imageclf.report.runs_page import Runs, write_runs_report

__all__ = [
    "NUM_VIEWS",
    "DataAnalysis",
    "ReportedHeatmaps",
    "Runs",
    "Sample",
    "TrainingViews",
    "data_cards",
    "learning_rate_figure",
    "lr_find_figure",
    "save_figure",
    "write_data_report",
    "write_report",
    "write_runs_report",
]
