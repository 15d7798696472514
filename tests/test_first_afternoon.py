"""docs/first-afternoon.md from the first command to the last, and the output that it shows."""

import re
import shlex
import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
from processes import wait_until
from warm_start import WarmProcess, WarmStart

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/first-afternoon.md").read_text(encoding="utf-8")
# Commands, each with the output that is shown behind it, up to the next block of commands.
BLOCKS = re.findall(r"```(bash|output)\n(.*?)```", PAGE, re.DOTALL)
TRAINING = ("imageclf-train", "imageclf-plan", "imageclf-lr-find", "imageclf-analyse")
SMALL = [
    *("data.size=64", "schedule.phases.bigger.size=64", "trainer=cpu"),
    *("schedule.phases.head.cycle_len=2", "schedule.phases.finetune.n_cycles=1"),
]


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lay out the pictures as the page has them, from those of the demo."""
    folder = tmp_path_factory.mktemp("afternoon")
    rows = []
    for name in ("birds", "plants"):
        found = sorted((ROOT / "data/stamps" / name).glob("*.jpg"))[:24]
        assert len(found) == 24
        for number, path in enumerate(found):
            copies = [folder / "photos" / ("train" if number % 4 else "valid") / name / path.name]
            copies.append(folder / "herbarium/pictures" / f"{name}-{path.name}")
            copies += [folder / "new" / f"{name}-1.png"] if number == 1 else []
            for copy in copies:
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
            rows.append(f"{name}-{path.name},{name}")
    (folder / "herbarium/labels.csv").write_text("\n".join(["file,species", *rows]) + "\n")
    (folder / "new/broken.jpg").write_text("no picture")
    (folder / "sample_submission.csv").write_text(
        "id,plants,birds\nplants-1.png,0.5,0.5\nbirds-1.png,0.5,0.5\n"
    )
    return folder


def start(command: str, folder: Path, warm_start: WarmStart) -> WarmProcess:
    """Start a command as the page has it, made small."""
    main, *words = shlex.split(command)
    goes_on = "ckpt_path=auto" in words
    small = SMALL if main in TRAINING and not goes_on else []
    return warm_start.begin(folder, *words, *small, main=main)


def interrupt(process: WarmProcess, metrics: Path) -> None:
    """Press Ctrl-C once an epoch has ended."""
    wait_until(metrics.exists, f"no epoch ended: {metrics}", 120)
    process.send_signal(signal.SIGINT)


def pattern(line: str) -> str:
    """Return a pattern for a line that the page shows: numbers, gaps and what … stands for differ."""
    words = re.sub(r"\d[\d.,e+-]*", "0", line).split()
    escaped = [re.escape(word).replace("…", r"\S*").replace("0", r"\d[\d.,e+-]*") for word in words]
    return r"\s+".join(escaped)


@pytest.mark.long
def test_each_step_runs_and_prints_what_the_page_shows(afternoon: Path, warm_start: WarmStart) -> None:
    assert [kind for kind, _ in BLOCKS].count("bash") == 10
    text = ""
    for kind, block in BLOCKS:
        if kind == "output":
            for line in block.splitlines():
                assert re.search(pattern(line), text), f"{line}\nis not in\n{text}"
            continue
        text = ""
        for command in block.splitlines():
            process = start(command, afternoon, warm_start)
            interrupted = "hydra.run.dir=runs/photos" in command and "ckpt_path" not in command
            if interrupted:
                interrupt(process, afternoon / "runs/photos/metrics.csv")
            text += "".join(process.communicate())
            assert process.returncode == (130 if interrupted else 0), f"{command}\n{text}"
    assert (afternoon / "runs/photos/report.html").exists()
    assert len(list((afternoon / "runs/train").glob("*/[0-3]/summary.json"))) == 4
    assert {path.name for path in (afternoon / "runs/photos/export").iterdir()} == {"onnx", "timm"}
    submission = pd.read_csv(afternoon / "runs/photos/predictions/new-submission.csv")
    assert submission["id"].tolist() == ["plants-1.png", "birds-1.png"]
