"""What a label is: one class of each picture, or any number of them. Everything else asks this object."""

from imageclf.tasks.multiclass import MULTICLASS, Multiclass
from imageclf.tasks.multilabel import Multilabel
from imageclf.tasks.task import Task

__all__ = ["MULTICLASS", "Multiclass", "Multilabel", "Task"]
