"""Fine-tune image classifiers the fast.ai way, as one configured, resumable job."""

from imageclf.system.errors import InputError, Preempted

__all__ = ["InputError", "Preempted"]

__version__ = "0.1.0"
