"""What happens when: phases, cycles and the learning rate as functions of the position. Pure Python."""

from imageclf.schedule.cycles import cycle_lengths, locate
from imageclf.schedule.phase import Phase, phase_from
from imageclf.schedule.plan import phase_rows, step_rows
from imageclf.schedule.plateau import plateau
from imageclf.schedule.schedule import Place, Schedule
from imageclf.schedule.shapes import SHAPES, constant, cosine, flat_cosine, onecycle

__all__ = [
    "SHAPES",
    "Phase",
    "Place",
    "Schedule",
    "constant",
    "cosine",
    "cycle_lengths",
    "flat_cosine",
    "locate",
    "onecycle",
    "phase_from",
    "phase_rows",
    "plateau",
    "step_rows",
]
