"""The tasks that srun or torchrun started: the first one composes the run, and broadcasts its directory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imageclf import InputError
from imageclf.launch.meeting import ask, tell
from imageclf.launch.slurm.requeue import requeue_when_preempted
from imageclf.system.locks import locked
from imageclf.system.signals import stop_notice
from imageclf.system.world import WAIT, World
from imageclf.training.door import run
from imageclf.training.extras import announce
from imageclf.training.failure import record_failure
from imageclf.training.logs import log_to_file
from imageclf.training.run_config import read_run_config

# Seconds that a task whose run is refused waits for the others to ask.
_REFUSAL = 10.0


def train_task(run_dir: Path) -> None:
    """Train a run directory that exists already, as one of the tasks or as the only one.

    Raises:
        InputError: as in `run`, or another job holds the directory.
        Preempted: as in `run`; a job of SLURM is requeued by then.
    """
    world = World.of_process()
    if world.rank > 0:
        train_broadcast_run()
        return
    # The first task is the one that writes into the directory.
    with requeue_when_preempted(), locked(run_dir), record_failure(run_dir), broadcasting(world) as broadcast:
        log_to_file(run_dir)
        announce(run_dir, read_run_config(run_dir))
        broadcast(run_dir)
        run(run_dir)


@contextmanager
def broadcasting(world: World) -> Iterator[Callable[[Path], None]]:
    """Yield the function by which the first task tells the others the run directory.

    If it is never called, the other tasks end without training.
    """
    told = world.size == 1

    def broadcast(run_dir: Path) -> None:
        """Tell all other tasks; they may still be on their way."""
        nonlocal told
        if not told:
            told = True
            tell(world, str(run_dir.resolve()), WAIT.total_seconds())

    try:
        yield broadcast
    except BaseException:
        # The launcher ends the others once this task has failed.
        if not told:
            tell(world, "", _REFUSAL)
        raise
    # The run is finished already: nobody ends a task that comes late, and it would ask for two hours.
    if not told:
        tell(world, "", WAIT.total_seconds())


def refuse_sweep(world: World) -> None:
    """Refuse several runs where the tasks train one together."""
    with broadcasting(world):
        if world.size > 1:
            raise InputError(
                "a sweep is not for srun or torchrun: start the command by itself, or one run of it"
            )


def train_broadcast_run() -> None:
    """Wait until the first task broadcasts the run directory, and train it.

    Raises:
        InputError: the first task does not answer.
        Preempted: a signal ended the task; a job of SLURM is requeued by then.
    """
    with requeue_when_preempted():
        # A signal that killed this task would end the first one before it has requeued their job.
        with stop_notice():
            run_dir = ask(World.of_process())
        if run_dir is None:
            raise InputError(f"the first task did not name a run directory within {WAIT}")
        # It is empty if the run is refused, or is finished already; the first task reports that.
        if run_dir:
            with record_failure(Path(run_dir), is_first=False):
                run(Path(run_dir))
