"""Write the pictures of the README from a finished run: its report in a browser, its end in a terminal.

Run: imageclf-train hydra.run.dir=runs/demo, then python docs/make_pictures.py runs/demo (needs chromium)
"""

import io
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).with_name("images")
# Pixels of the report's top.
_SIZE = "1100,1000"
# Characters of a line of the terminal, and lines.
_WIDTH, _LINES = 110, 20


def picture_of_report(run_dir: Path) -> None:
    """Write the top of the report as images/report.png."""
    subprocess.run(
        [
            *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--window-size={_SIZE}", f"--screenshot={IMAGES / 'report.png'}"),
            (run_dir / "report.html").resolve().as_uri(),
        ],
        check=True,
    )


def picture_of_terminal(run_dir: Path) -> None:
    """Write the last epochs and the end of the log as images/terminal.svg."""
    lines = (run_dir / "train.log").read_text(encoding="utf-8").splitlines()
    here = f"{run_dir.resolve().parents[1]}/"
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    console.print(Text("$ make demo\n…", style="bold"))
    for line in lines[-_LINES:]:
        console.print(Text(line.replace(here, "/home/you/imageclf/")))
    console.save_svg(str(IMAGES / "terminal.svg"), title="imageclf")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    picture_of_report(Path(sys.argv[1]))
    picture_of_terminal(Path(sys.argv[1]))
