"""What happens when: phases, cycles and the learning rate as functions of the position. Pure Python."""

from imageclf.schedule.cycles import cycle_lengths, locate
from imageclf.schedule.phase import Phase
from imageclf.schedule.plan import phase_rows, step_rows
from imageclf.schedule.run_state import RunState
from imageclf.schedule.schedule import Place, Schedule, phase_from
from imageclf.schedule.shapes import SHAPES, constant, cosine, flat_cosine, onecycle, plateau

__all__ = [
    "SHAPES",
    "Phase",
    "Place",
    "RunState",
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
