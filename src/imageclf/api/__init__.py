"""What `import imageclf` offers to Python: the commands as functions, on the same code."""

from imageclf.api.prediction import Prediction
from imageclf.api.run import Run, load

__all__ = ["Prediction", "Run", "load"]
