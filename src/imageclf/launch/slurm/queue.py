"""The state of jobs in SLURM's queue.

submitit asks `sacct`, SLURM's accounting, which many clusters do not have; it then waits for a killed job
forever (https://github.com/facebookincubator/submitit/issues/1720). `squeue` works everywhere.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from imageclf.system.errors import FAILED, MISTAKE, PREEMPTED

# A job in any other state is still to run, or back in the queue.
ENDED = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "TIMEOUT",
    }
)
# Seconds between the first two queries, and how they become more: short for short jobs, longer for long ones.
_FIRST_PAUSE, _GROWTH = 1.0, 1.3
# Jobs of an array where SLURM's configuration does not say; the largest index is one less.
_ARRAY_SIZE = 1001


class State(NamedTuple):
    """The state of a job.

    Args:
        name: SLURM's word, such as PENDING or FAILED; GONE if SLURM has forgotten the job.
        exit_code: of a job that has ended, -N after signal N.
    """

    name: str
    exit_code: int = 0

    @property
    def has_ended(self) -> bool:
        """Return whether this is the job's last state."""
        return self.name in ENDED or self.name == "GONE"

    @property
    def code(self) -> int:
        """Return the exit code of the command for such a job: its own, if that is one of ours."""
        return self.exit_code if self.exit_code in (MISTAKE, PREEMPTED) else FAILED


def parse(listing: str) -> dict[str, State]:
    """Return the state of each job in a listing of lines ID|STATE|WAIT STATUS.

    >>> parse("7_0|FAILED|512")
    {'7_0': State(name='FAILED', exit_code=2)}
    """
    rows = [line.split("|") for line in listing.splitlines() if line]
    return {job: State(name, os.waitstatus_to_exitcode(int(status))) for job, name, status in rows}


def states(job_ids: Sequence[str]) -> dict[str, State] | None:
    """Return the state of each job; None if SLURM does not answer at the moment."""
    arrays = sorted({job.partition("_")[0] for job in job_ids})
    command = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(arrays)}"]
    columns = "--Format=JobArrayID:|,State:|,exit_code:"
    done = subprocess.run([*command, columns], capture_output=True, text=True, check=False)
    # "Invalid job id" means that SLURM has forgotten the job; other errors, that it is busy or down.
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    found = parse(done.stdout)
    return {job: found.get(job, State("GONE")) for job in job_ids}


def most_in_array() -> int:
    """Return the most jobs that an array may have on this cluster."""
    done = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=False)
    return array_size(done.stdout)


def array_size(config: str) -> int:
    """Return MaxArraySize of SLURM's configuration, or its default.

    >>> array_size("MaxArraySize            = 75000")
    75000
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    return max(1, int(found[1])) if found else _ARRAY_SIZE


def ends(
    running: list[str],
    query: Callable[[Sequence[str]], dict[str, State] | None] = states,
    sleep: Callable[[float], None] = time.sleep,
    longest: float = 30.0,
) -> Iterator[tuple[str, State]]:
    """Yield each job with its last state as it ends.

    Ids are as SLURM writes them, ARRAY_TASK for a task of an array. Jobs that have ended are removed from
    `running`, and the caller may append others; `longest` is in seconds between two queries.
    """
    pause = _FIRST_PAUSE
    while running:
        for job, state in (query(running) or {}).items():
            if state.has_ended:
                running.remove(job)
                yield job, state
        if running:
            sleep(pause)
            pause = min(longest, pause * _GROWTH)
