"""What `import imageclf` offers to Python: the commands as functions, on the same code."""

from imageclf.api.analysis import Analysis, analyse
from imageclf.api.prediction import Prediction
from imageclf.api.run import Run, load
from imageclf.api.training import train

__all__ = ["Analysis", "Prediction", "Run", "analyse", "load", "train"]
