"""What a label is: one class of each picture, any number of them, or numbers. Everything else asks it."""

from imageclf.tasks.multiclass import MULTICLASS, Multiclass
from imageclf.tasks.multilabel import Multilabel
from imageclf.tasks.regression import Regression
from imageclf.tasks.saved import task_of, task_with
from imageclf.tasks.task import Task

__all__ = ["MULTICLASS", "Multiclass", "Multilabel", "Regression", "Task", "task_of", "task_with"]
