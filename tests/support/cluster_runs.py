"""Tiny runs, submitted by the command as a user does, and trained here to compare with."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import torch
from probes import digest
from slurm_server import SlurmServer
from small_runs import composed

from imageclf.launch.start import train
from imageclf.training.directory import prepare

# The test's temporary folders are shared with the nodes: they are this machine.
SLURM = ("cluster=slurm", "cluster.shared_paths=[/]")
TWO_RANKS = ("trainer=ddp", "trainer.accelerator=cpu")


def start(
    server: SlurmServer, folder: Path, *arguments: str, main: str = "train", taker: str = ""
) -> "subprocess.Popen[str]":
    """Start `imageclf-train`, or another main, on the login node, in a folder, perhaps piped to a taker."""
    paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    command = [sys.executable, "-m", f"imageclf.{main}", *arguments]
    piped = ["bash", "-o", "pipefail", "-c", f"{shlex.join(command)} | {taker}"]
    return subprocess.Popen(
        piped if taker else command,
        cwd=folder,
        env={**server.environment, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def submit(server: SlurmServer, *options: str, piped: str | None = None) -> str:
    """Submit a script by sbatch, and return the job's id."""
    paths = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    return server.run("env", f"PYTHONPATH={paths}", "sbatch", "--parsable", *options, piped=piped)


def finish(process: "subprocess.Popen[str]", code: int = 0) -> tuple[list[str], str]:
    """Wait for a command, and return the lines that it printed and its messages."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, out + err
    return out.splitlines(), err


def jobs_of(lines: list[str]) -> dict[str, Path]:
    """Return the run directories by the ids of their jobs, as a command prints them."""
    pairs = [line.removeprefix("job ").split(": ") for line in lines if line.startswith("job ")]
    return {job: Path(run_dir) for job, run_dir in pairs}


def train_here(run_dir: Path, *overrides: str) -> Path:
    """Train in this process or its fork server's, and return the run directory."""
    run_dir.mkdir(exist_ok=True)
    typed = list(overrides)
    prepare(composed(typed, run_dir), run_dir, typed)
    train(run_dir)
    return run_dir


def final_weights(run_dir: Path) -> str:
    """Return a hash of all bytes of the final weights."""
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])
