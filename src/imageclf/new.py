"""imageclf-new: write a project of your own that uses imageclf as a library."""

import argparse
from pathlib import Path
from typing import NoReturn

from imageclf.configs import run_main


def main() -> NoReturn:
    """Write the project, and print where it is and what comes next."""
    summary = str(__doc__).partition(": ")[2]
    parser = argparse.ArgumentParser(prog="imageclf-new", description=summary[0].upper() + summary[1:])
    parser.add_argument(
        "name", metavar="NAME", help="of the project, its package and its folder, such as petals"
    )
    name = parser.parse_args().name
    run_main(lambda: _write(name))


def _write(name: str) -> None:
    # Imported here: --help needs no templates.
    from imageclf.commands.new import new_project, next_steps

    print(next_steps(new_project(name, Path.cwd())))


if __name__ == "__main__":
    main()
