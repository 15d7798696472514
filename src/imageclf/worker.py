"""The door as a command: `python -m imageclf.worker RUN_DIR` trains what a run directory says.

srun and torchrun start it once for each rank. It builds no code of others: `trust=mine,theirs` allows
modules, and the script that `cluster.print=true` writes has it.
"""

import sys
from pathlib import Path

from imageclf import InputError
from imageclf.configs import Trust, read_config, recorded, run_main
from imageclf.configs.trust import check_target, targets_of
from imageclf.launch.tasks import train_task


@recorded
def job() -> None:
    """Go through the door with the command line's run directory."""
    given = [each for each in sys.argv[1:] if not each.startswith("trust=")]
    if len(given) != 1 or not Path(given[0], "config.yaml").is_file():
        raise InputError(f"{' '.join(sys.argv[1:])}: give one run directory, which holds config.yaml")
    trusted = [
        each.removeprefix("trust=").strip("[]").split(",") for each in sys.argv[1:] if each not in given
    ]
    check_code(Path(given[0]), [name.strip() for names in trusted for name in names])
    train_task(Path(given[0]))


def check_code(run_dir: Path, trust: Trust) -> None:
    """Refuse a run directory whose config names code that is neither ours nor trusted.

    What comes from the environment is the user's choice here: whoever made the run has composed it so.

    Raises:
        InputError: it does.
    """
    source = run_dir / "config.yaml"
    for key, name in targets_of(read_config(source)):
        check_target(name, key, trust, source)


if __name__ == "__main__":
    run_main(job)
