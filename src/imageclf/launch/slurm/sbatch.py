"""A plain sbatch script for a sweep, to submit by hand: submitit's own script needs its pickled jobs."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from imageclf.configs.options import ClusterOptions
from imageclf.system.errors import FAILED
from imageclf.training.failure import FILE

# Else the other ranks would wait for one that failed.
SRUN = ("--kill-on-bad-exit=1",)
# What srun ends with after a task that was killed: 128 + SIGKILL, or SLURM's own number where its cgroups
# have noticed that memory ran out (SIG_OOM of slurm.h).
_KILLED = "137 | 253"


def script(
    name: str, folder: Path, run_dirs: Sequence[Path], options: ClusterOptions, trusted: Sequence[str] = ()
) -> str:
    """Return a script that trains each run directory in a job of one array.

    Submitted again, it resumes the runs that are not finished.

    The logs of the jobs are written into the sweep's folder. `trusted` names modules besides ours that
    the configs of the runs name.
    """
    trust = f" {shlex.quote('trust=' + ','.join(trusted))}" if trusted else ""
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH --{flag}" for flag in flags(name, folder, len(run_dirs), options)),
            "",
            *recording(run_dirs),
            *setup(options),
            f"srun --unbuffered {' '.join(SRUN)} {shlex.quote(sys.executable)} -m imageclf.worker \\",
            '  "$imageclf_run"' + trust,
            "# Where the output of the command is piped to sbatch, the run directory follows.",
            "exit",
            "",
        ]
    )


def flags(name: str, folder: Path, count: int, options: ClusterOptions) -> list[str]:
    """Return sbatch's options, without the dashes."""
    optional = {
        "gpus-per-node": options.gpus_per_node,
        "cpus-per-task": options.cpus_per_task,
        "mem": options.mem_gb and f"{options.mem_gb}G",
        "partition": options.partition,
        "account": options.account,
    }
    given = {
        "job-name": name,
        "array": f"0-{count - 1}%{options.array_parallelism}",
        "nodes": options.nodes,
        "ntasks-per-node": options.tasks_per_node,
        **{flag: value for flag, value in optional.items() if value is not None},
        "time": options.minutes,
        "signal": f"USR2@{options.signal_seconds}",
        "output": folder / "%A_%a.log",
        # A requeued job goes on in the log of its first start.
        "open-mode": "append",
    }
    return [*(f"{flag}={shlex.quote(str(value))}" for flag, value in given.items()), "requeue"]


def setup(options: ClusterOptions) -> list[str]:
    """Return the lines of shell that come before srun."""
    lines = list(options.setup)
    if options.cpus_per_task is not None:
        # From SLURM 22.05 to 23.02 srun ignores SLURM_CPUS_PER_TASK, and would give each task one CPU:
        # https://github.com/snakemake/snakemake-executor-plugin-slurm/issues/41
        lines.append(f"export SRUN_CPUS_PER_TASK={options.cpus_per_task}")
    return lines


def recording(run_dirs: Sequence[Path]) -> list[str]:
    """Return the lines of shell that write failed.json if a task is killed, which cannot do it any more.

    They come before `cluster.setup`, which may have variables and a trap of its own.

    `run_dirs` are in the order of the array's jobs.
    """
    directories = " ".join(shlex.quote(str(each)) for each in run_dirs)
    cause = "a task was killed (exit code CODE); was it out of memory?"
    record = json.dumps({"status": "killed", "exit_code": FAILED, "cause": cause})
    # Of several tasks, one that is alive has written what it knows.
    recorded = f"""[ -e "$imageclf_run/{FILE}" ]"""
    write = f"""echo "${{imageclf_record/CODE/$code}}" >"$imageclf_run/{FILE}\""""
    return [
        f"imageclf_runs=({directories})",
        # An array of one is none.
        'imageclf_run="${imageclf_runs[${SLURM_ARRAY_TASK_ID:-0}]}"',
        f"imageclf_record={shlex.quote(record)}",
        f"trap 'code=$?; case $code in {_KILLED}) {recorded} || {write};; esac' EXIT",
    ]
