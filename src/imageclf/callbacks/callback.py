"""What our callbacks have in common: when their hooks run, and which phases cannot do without them."""

from enum import IntEnum, auto
from typing import ClassVar

import lightning as pl

from imageclf.data import ImageData
from imageclf.schedule import Phase


class Order(IntEnum):
    """When the hooks of a callback run among those of the others, first to last."""

    # Before anything draws a random number.
    SEED = auto()
    # Before the learning-rate finder trains.
    FREEZE = auto()
    PREPARE = auto()
    LEARNING_RATE = auto()
    # Before weights that are not finite are evaluated or saved.
    GUARD = auto()
    EVALUATE = auto()
    JUDGE = auto()
    # Users' own callbacks: before those that record and save, so that a checkpoint holds their last update.
    USER = auto()
    # After every callback that records a score.
    RECORD = auto()
    # Before the snapshots, which compare the average with the other candidates.
    AVERAGE = auto()
    # After the average of the run, which follows the step's own weights: this one may exchange them.
    PHASE_AVERAGE = auto()
    SNAPSHOT = auto()
    # After every callback whose state or files a resumed run needs.
    CHECKPOINT = auto()
    END = auto()
    # After all files that the report shows.
    REPORT = auto()
    # After the report, which the loggers get.
    SEND = auto()


class Callback(pl.Callback):
    """A callback of ours; its module is named like its node in the config.

    Its constructor takes the keys of that node, and any of the arguments in `configs.options.Offered`.

    Attributes:
        order: when its hooks run.
        is_required: whether every run needs it.
    """

    order: ClassVar[Order] = Order.USER
    is_required: ClassVar[bool] = False

    @classmethod
    def node(cls) -> str:
        """Return the name of its node below `callbacks` in the config."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def is_needed_by(cls, phase: Phase) -> bool:
        """Return whether a phase cannot be trained without it."""
        return cls.is_required


def data_of(trainer: pl.Trainer) -> ImageData:
    """Return the data that a trainer fits."""
    data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
    return data


def in_order(callbacks: list[pl.Callback]) -> list[pl.Callback]:
    """Return callbacks in the order of their hooks, whatever their order in the config."""

    # Where several of ours share a stage, their order is of no matter, but it is always the same.
    def place(callback: pl.Callback) -> tuple[Order, str]:
        """Return a callback's stage, and its name if it is ours; a user's own stay as they are listed."""
        if isinstance(callback, Callback):
            return callback.order, callback.node()
        return Order.USER, ""

    return sorted(callbacks, key=place)
