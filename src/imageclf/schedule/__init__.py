"""What happens when: phases, cycles and the learning rate as functions of the position. Pure Python."""

from imageclf.schedule.phase import Phase
from imageclf.schedule.plan import phase_rows, step_rows
from imageclf.schedule.remaining import Workload, kind_of, passes_left, seconds_of
from imageclf.schedule.run_state import RunState
from imageclf.schedule.schedule import Place, Schedule, check_names

__all__ = [
    "Phase",
    "Place",
    "RunState",
    "Schedule",
    "Workload",
    "check_names",
    "kind_of",
    "passes_left",
    "phase_rows",
    "seconds_of",
    "step_rows",
]
