"""Try everything that imageclf does on a GPU, and time it: `python benchmarks/gpu.py`, at most 8 minutes.

Made for a bare machine with one GPU and no network. The most important parts come first; what does not fit
into `--minutes` is left out, and what fails is said. `--device cpu --quick` tries the script on any machine.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_figures import Figures

STARTED = time.monotonic()
HERE = Path(__file__).resolve().parent
PARTS = (
    "machine",
    "paths",
    "commands",
    "demo",
    "stores",
    "throughput",
    "syncs",
    "bitwise",
    "store",
    "peers",
    "kernels",
    "first start",
    "costs",
    "compile",
)
# Seconds that are kept for the end.
_LAST_WORDS = 6.0


def main() -> None:
    """Run all parts; the last line of the output is one of JSON with all figures."""
    options = _options()
    prepare_environment()
    from gpu_figures import Figures

    # As of `timeout` and of clusters: what was measured by then is printed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    figures = Figures(options.output, device=options.device, quick=options.quick)
    with _folder(options.folder) as folder:
        try:
            run(options, folder, figures)
        finally:
            figures.conclude(time.monotonic() - STARTED)
    sys.exit(1 if figures.num_failed else 0)


def prepare_environment() -> None:
    """Let every process find the project and these scripts, and count GPUs without starting CUDA."""
    found = [] if find_spec("imageclf") else [str(HERE.parent / "src")]
    sys.path[:0] = found
    # For the fork server, whatever the Python, and for commands that are started anew.
    paths = [*found, str(HERE), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    # Otherwise a look at the GPUs would spoil a process for its forks.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"


def run(options: argparse.Namespace, folder: Path, figures: "Figures") -> None:
    """Run the parts in a folder."""
    from gpu_jobs import Setting
    from gpu_machine import copy_stamps
    from gpu_plan import parts
    from gpu_processes import begin, run_jobs

    # Nothing of a user's cache is found, and nothing is left there.
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    setting = Setting(options.device, options.quick, folder)
    shutil.rmtree(setting.runs, ignore_errors=True)
    begin()
    copy_stamps(setting)
    deadline = STARTED + 60 * options.minutes - _LAST_WORDS
    log = options.output.with_suffix(".log")
    log.unlink(missing_ok=True)
    for part in parts(setting):
        if part.name in options.parts and part.jobs:
            figures.begin(part.name, time.monotonic() - STARTED)
            for event in run_jobs(part.jobs, setting, log, deadline, part.at_once):
                figures.add(event)
        if part.name == "machine" and figures.num_failed:
            return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", choices=("cuda", "cpu"), default="cuda")
    add("--quick", action="store_true", help="tiny networks, few steps: to try the script")
    add("--minutes", type=float, default=8.0, help="by then it has ended")
    add("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    add("--output", type=Path, default=_output(), help="the figures so far; what the jobs print is beside it")
    add(
        "--folder",
        type=Path,
        help="for pictures, caches and runs; pictures and caches of an earlier call are used",
    )
    return parser.parse_args()


def _output() -> Path:
    return Path(os.environ.get("OUT") or tempfile.gettempdir(), "imageclf-gpu.json")


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    # What is still open when a job is ended must not fail the rest.
    with tempfile.TemporaryDirectory(prefix="imageclf-gpu-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary).resolve()


if __name__ == "__main__":
    main()
