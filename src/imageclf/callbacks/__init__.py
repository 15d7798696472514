"""Thin Lightning hooks over pure functions; they ask the schedule what applies, and keep no counters.

A callback's class says where its hooks run among the others (`order`) and which phases need it.
docs/architecture.md says how to add one.
"""

from imageclf.callbacks.callback import Callback
from imageclf.callbacks.checkpoint import Checkpoint
from imageclf.callbacks.ema import Ema
from imageclf.callbacks.fit_verdict import FitVerdict
from imageclf.callbacks.history import History
from imageclf.callbacks.lr_finder import LrFinder
from imageclf.callbacks.precompute import Precompute
from imageclf.callbacks.progressive_resizing import ProgressiveResizing
from imageclf.callbacks.report import Report
from imageclf.callbacks.reproducible import Reproducible
from imageclf.callbacks.snapshots import Snapshots
from imageclf.callbacks.terminate_on_nan import TerminateOnNan
from imageclf.callbacks.tta import TTA
from imageclf.callbacks.unfreezing import Unfreezing
from imageclf.callbacks.warm_restarts import WarmRestarts

__all__ = [
    "TTA",
    "Callback",
    "Checkpoint",
    "Ema",
    "FitVerdict",
    "History",
    "LrFinder",
    "Precompute",
    "ProgressiveResizing",
    "Report",
    "Reproducible",
    "Snapshots",
    "TerminateOnNan",
    "Unfreezing",
    "WarmRestarts",
]
