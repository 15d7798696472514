"""Real runs for benchmarks/gpu.py, as imageclf-train makes them: in this process or in a new one."""

import gc
import json
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from gpu_jobs import Setting, Values
from gpu_probes import RESULT, EnoughError
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from imageclf.configs import CONF_DIR, read_object
from imageclf.launch.start import train_composed


def train(run_dir: Path, *overrides: str) -> Values:
    """Do what imageclf-train does with these overrides, and return the run's summary."""
    run_dir.mkdir(parents=True, exist_ok=True)
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=list(overrides))
    # Hydra alone knows its name, and there is none.
    with open_dict(cfg):
        cfg.experiment = None
    train_composed(cfg, run_dir, list(overrides))
    return read_object(run_dir / "summary.json")


def probed(run_dir: Path, probe: str, arguments: Mapping[str, float], *overrides: str) -> Values:
    """Train until a probe has seen enough, and return what it found.

    Args:
        run_dir: of the run.
        probe: a class of gpu_probes.
        arguments: numbers that it takes.
        overrides: as of imageclf-train.

    Raises:
        RuntimeError: the run ended before that.
    """
    given = ", ".join(f"{name}: {value}" for name, value in arguments.items())
    node = f"+callbacks.probe={{_target_: gpu_probes.{probe}, {given}}}"
    with suppress(EnoughError):
        train(run_dir, *overrides, node)
        raise RuntimeError(f"{probe} {given}: the run ended before enough was seen")
    # What the exception held is gone by now.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    found: Values = json.loads((run_dir / RESULT).read_text())
    return found


def folder_of(setting: Setting, part: str, name: str) -> Path:
    """Return where a run goes."""
    return setting.runs / part / re.sub("[^a-z0-9]+", "_", name.lower())


def on(setting: Setting) -> list[str]:
    """Return what chooses the device: nothing on a GPU, since the default has to find it."""
    return ["trainer=cpu"] if setting.device == "cpu" else []


def phases(**named: str) -> list[str]:
    """Return overrides that put these phases in the place of the lesson's, each in Hydra's grammar."""
    removed = [f"~schedule.phases.{name}" for name in ("head", "augment", "finetune", "bigger")]
    return [*removed, *(f"+schedule.phases.{name}={values}" for name, values in named.items())]


def alone(function: Callable[..., object], *arguments: Any) -> None:
    """Call a function in a process of its own, as a command that is started anew has one.

    This process must not have used CUDA.

    Raises:
        RuntimeError: it did not end with 0; the log says why.
    """
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        words = " ".join(str(each) for each in arguments)
        raise RuntimeError(f"{function.__name__} {words[-120:]} ended with code {process.exitcode}")


def command(name: str, *words: str) -> float:
    """Call a command's main in a process of its own, and return the seconds that took.

    Args:
        name: of the command, as in imageclf-predict.
        words: of its command line.
    """
    started = time.perf_counter()
    alone(_main, name, *words)
    return time.perf_counter() - started


def hidden_from_gpus() -> dict[str, str]:
    """Return the variables of a process on a machine without a GPU."""
    return {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def _main(name: str, *words: str) -> None:
    from importlib import import_module

    module: Any = import_module(f"imageclf.{name.replace('-', '_')}")
    sys.argv = [f"imageclf-{name}", *words]
    # It ends by sys.exit.
    module.main()
