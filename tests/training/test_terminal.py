"""Runs whose terminal is closed, or whose output nobody reads to its end."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sweeps import begin
from warm_start import WarmStart

pytestmark = pytest.mark.long

ENDLESS = ["schedule.phases.finetune.cycle_len=500", "~callbacks.tta", "hydra.run.dir=run"]


def start_in_a_terminal(folder: Path, *arguments: str) -> tuple["subprocess.Popen[bytes]", int]:
    """Start a training as a shell in a terminal does; return it and the terminal's other end."""
    ours, theirs = pty.openpty()
    # With the terminal as its own, which sends it Ctrl-C, and SIGHUP when it is closed.
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "imageclf.train", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    return process, ours


def read_until(terminal: int, words: bytes) -> bytes:
    """Return what the terminal shows up to some words."""
    seen = b""
    while words not in seen:
        seen += os.read(terminal, 4096)
    return seen


@pytest.mark.fault(
    "Kills, signals and disks",
    "The terminal is closed, or the ssh session ends (SIGHUP)",
    "The run is saved, and its log says the command that goes on",
)
def test_a_run_whose_terminal_is_closed_saves_and_says_how_to_go_on(tiny: list[str], tmp_path: Path) -> None:
    process, terminal = start_in_a_terminal(tmp_path, *tiny, *ENDLESS)
    read_until(terminal, b"epoch   2 ")
    os.close(terminal)
    assert process.wait() == 75
    failure = json.loads((tmp_path / "run/failed.json").read_text())
    assert failure["cause"].startswith("ended by SIGHUP; go on with: imageclf-train hydra.run.dir=")
    saved = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert saved["position"] > [2, 0]


@pytest.mark.fault(
    "Kills, signals and disks", "Ctrl-C", "The run is saved, and says the command that goes on"
)
def test_ctrl_c_on_the_keyboard_saves_and_ends_the_run_with_130(tiny: list[str], tmp_path: Path) -> None:
    process, terminal = start_in_a_terminal(tmp_path, *tiny, *ENDLESS)
    read_until(terminal, b"epoch   2 ")
    os.write(terminal, b"\x03")
    seen = read_until(terminal, b"ended by Ctrl-C; go on with: imageclf-train hydra.run.dir=")
    assert b"imageclf: saving at the next safe point; press Ctrl-C again to end at once" in seen
    assert process.wait() == 130
    os.close(terminal)


@pytest.mark.fault("Terminals, paths and networks", "The output goes into `head -1`", "The run goes on")
def test_a_reader_that_has_seen_enough_ends_no_run_and_is_not_complained_about(
    tiny: list[str], tmp_path: Path
) -> None:
    with begin(tmp_path, *tiny, "~callbacks.tta", "hydra.run.dir=run") as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert (tmp_path / "run/summary.json").exists()


def test_a_pipe_gets_the_result_in_words_and_last_the_run_directory_alone(
    tiny: list[str], tmp_path: Path, warm_start: WarmStart
) -> None:
    done = warm_start.command("train", tmp_path, *tiny, "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    closing = done.stdout.partition("the run is done\n")[2]
    names = ("model", "accuracy", "with TTA", "trained on", "time", "report", "predict", "export")
    assert [name for name in names if f"  {name} " not in closing] == []
    assert closing.splitlines()[-1] == str(tmp_path / "run")
    assert closing.splitlines()[-2].endswith(f"imageclf-export run={tmp_path}/run format=onnx")


@pytest.mark.fault(
    "Terminals, paths and networks",
    "Standard output is closed or full",
    "Neither the sentence nor the exit code changes",
)
def test_a_closed_stdout_changes_neither_the_sentence_nor_the_exit_code(tmp_path: Path) -> None:
    command = f'exec "{sys.executable}" -m imageclf.collect root=nowhere >&-'
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "imageclf: root=nowhere: there is no such folder\n")
