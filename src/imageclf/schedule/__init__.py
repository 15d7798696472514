"""What happens when: phases, cycles and the learning rate as functions of the position. Pure Python."""

from imageclf.schedule.cycles import cycle_lengths, locate
from imageclf.schedule.phase import Phase
from imageclf.schedule.plan import phase_rows, step_rows
from imageclf.schedule.remaining import Workload, kind_of, passes_left, seconds_of
from imageclf.schedule.run_state import RunState
from imageclf.schedule.schedule import Place, Schedule, check_names, phase_from
from imageclf.schedule.shapes import SHAPES, constant, cosine, flat_cosine, onecycle, plateau

__all__ = [
    "SHAPES",
    "Phase",
    "Place",
    "RunState",
    "Schedule",
    "Workload",
    "check_names",
    "constant",
    "cosine",
    "cycle_lengths",
    "flat_cosine",
    "kind_of",
    "locate",
    "onecycle",
    "passes_left",
    "phase_from",
    "phase_rows",
    "plateau",
    "seconds_of",
    "step_rows",
]
