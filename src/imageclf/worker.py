"""Train an existing run directory: `python -m imageclf.worker RUN_DIR`.

srun and torchrun start it once for each rank. It builds no code but ours: `trust=mine,theirs` allows
further modules, as in the script that `cluster.print=true` writes.
"""

import sys
from pathlib import Path

from imageclf import InputError
from imageclf.configs import Trust, read_config, recorded, run_main
from imageclf.configs.loading import load
from imageclf.configs.saved.trust import check_target, targets_of


@recorded
def job() -> None:
    """Train the run directory of the command line."""
    given = [each for each in sys.argv[1:] if not each.startswith("trust=")]
    if len(given) != 1 or not Path(given[0], "config.yaml").is_file():
        raise InputError(f"{' '.join(sys.argv[1:])}: give one run directory, which holds config.yaml")
    tasks = load("imageclf.launch.tasks")
    trusted = [
        each.removeprefix("trust=").strip("[]").split(",") for each in sys.argv[1:] if each not in given
    ]
    check_code(Path(given[0]), [name.strip() for names in trusted for name in names])
    tasks.train_task(Path(given[0]))


def check_code(run_dir: Path, trust: Trust) -> None:
    """Refuse a run directory whose config names code that is neither ours nor trusted.

    It may read the environment: whoever made the run has composed it so.

    Raises:
        InputError: it does.
    """
    source = run_dir / "config.yaml"
    for key, name in targets_of(read_config(source)):
        check_target(name, key, trust, source)


if __name__ == "__main__":
    run_main(job)
