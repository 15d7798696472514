"""Views made on the device: how long they take there, and how far they are from those of the CPU."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_jobs import Rows, Setting, SkippedError
from gpu_machine import drawn_pictures
from gpu_probes import synchronize
from gpu_throughput import batch_size
from hydra import compose, initialize_config_dir

from imageclf.configs import CONF_DIR, to_plain
from imageclf.data import Caching, FolderSource, PictureDataset, Request
from imageclf.data.device_store import DeviceStore
from imageclf.data.views.resample import resample
from imageclf.training.run_config import build_augmentation

PRESETS = ("side_on", "top_down", "none", "fastai2")
_ROUNDS = 20


def resampling(setting: Setting, size: int) -> Rows:
    """Time a batch of views by torch's functions and by the kernel, and all that makes a batch."""
    device = torch.device(setting.device)
    dataset = _dataset(drawn_pictures(setting), "side_on", "crop", size)
    store = DeviceStore(dataset.stores[size], dataset.viewing, dataset.labels, device)
    generator = np.random.default_rng(0)
    rows = generator.integers(0, len(dataset), batch_size(setting))
    request = Request(rows, np.ones_like(rows), epoch=0, size=size)
    _, _, places, maps, tables = store.send(request)
    by_torch = partial(resample, store.pixels, places, maps, tables, size)
    name = f"{len(rows)} views of {size} px"
    yield f"{name}, torch", {"ms": _milliseconds(by_torch, device)}
    if device.type == "cuda":
        from imageclf.data.views import resample_kernel

        by_kernel = partial(resample_kernel.resample, *by_torch.args)
        yield f"{name}, kernel", {"ms": _milliseconds(by_kernel, device)}
        yield f"{name}, kernel and torch", {"equal": torch.equal(by_torch(), by_kernel())}
    yield f"{name}, whole batch", {"ms": _milliseconds(lambda: store.render(request), device)}
    yield f"{name}, host's part", {"ms": _host_milliseconds(lambda: store.render(request), device)}
    if device.type != "cuda":
        raise SkippedError("the kernel needs CUDA")


def differences(setting: Setting, size: int) -> Rows:
    """Compare views of all stamps, plain and drawn, in steps of 255."""
    for preset in PRESETS:
        dataset = _dataset(setting.stamps / "train", preset, "squish", size)
        device = torch.device(setting.device)
        store = DeviceStore(dataset.stores[size], dataset.viewing, dataset.labels, device)
        apart = torch.cat([_apart(dataset, store, view, size) for view in (0, 1)])
        figures = {"mean": float(apart.mean()), "of the furthest view": float(apart.mean((1, 2, 3)).max())}
        yield f"{preset}, {size} px", figures | {"of any value": float(apart.max())}


def _dataset(folder: Path, preset: str, resize: Any, size: int) -> PictureDataset:
    """Return pictures with a store for views of a size: the one that a run has made, if there is one."""
    table = FolderSource(str(folder), ".", None, None).read()
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=[f"transforms={preset}"])
    augmentation = build_augmentation(to_plain(cfg.transforms))
    dataset = PictureDataset(table.paths, table.labels, augmentation, resize, 1.0, 42)
    caching = Caching("raw", cache_dir=None, cache_gb=100, fingerprint="stat")
    dataset.stores = caching.stores(table.paths, {size: dataset.side_of(size)}, resize)
    return dataset


def _apart(dataset: PictureDataset, store: DeviceStore, view: int, size: int) -> torch.Tensor:
    rows = np.arange(len(dataset))
    request = Request(rows, np.full_like(rows, view), epoch=0, size=size)
    here, there = dataset[request].images, store.render(request).images
    assert here is not None and there is not None
    apart: torch.Tensor = (here.float() - there.cpu().float()).abs()
    return apart


def _milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the milliseconds of a call on the device, the mean over many."""
    for _ in range(3):
        call()
    synchronize(device)
    if device.type != "cuda":
        return _host_milliseconds(call, device)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    for _ in range(_ROUNDS):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / _ROUNDS


def _host_milliseconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the milliseconds for which a call keeps the host."""
    synchronize(device)
    started = time.perf_counter()
    for _ in range(_ROUNDS):
        call()
    milliseconds = 1000 * (time.perf_counter() - started) / _ROUNDS
    synchronize(device)
    return milliseconds
