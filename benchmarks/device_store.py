"""Time batches made on the device that trains: `python benchmarks/device_store.py --device cuda`.

Milliseconds a batch: of the host (draws, maps, tables; `host` is all of it and the copy), of the device
(the kernel on CUDA, and the same by torch's operations), of both together, and of one worker's CPU path.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir

from imageclf.configs import CONF_DIR, to_plain
from imageclf.data import Augmentation, PictureDataset, Request
from imageclf.data.device_store import DeviceStore
from imageclf.data.pictures.store import StoredPictures
from imageclf.data.views.geometry import Resize, stored_size
from imageclf.data.views.resample import resample
from imageclf.training.run_config import build_augmentation

SHAPES = ((500, 375), (500, 333), (375, 500), (500, 400))
"""(width, height) of the pictures before shrinking, in turn."""


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 128, 64])
    parser.add_argument("--transforms", nargs="+", default=["side_on", "fastai2"])
    parser.add_argument("--resize", default="crop", choices=("crop", "squish", "pad", "random_resized_crop"))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {"device": _name(device), "batch_size": options.batch_size, "sizes": {}}
    for size in options.sizes:
        for name in options.transforms:
            found = _measured(options, _augmentation(name), size, device)
            figures["sizes"].setdefault(str(size), {})[name] = found
            print(f"{size} px, {name}: " + ", ".join(f"{key} {value:g}" for key, value in found.items()))
    print(json.dumps(figures))


def write_pictures(folder: Path, count: int, side: int, resize: Resize) -> StoredPictures:
    """Write a store of noise, as if pictures of common shapes had been shrunk.

    Args:
        folder: is there, and empty.
        count: of pictures.
        side: pixels a side that they are shrunk to.
        resize: how a view becomes a square.
    """
    generator, index, offset = np.random.default_rng(0), [], 0
    with (folder / "pixels.bin").open("wb") as file:
        for shape in (SHAPES[number % len(SHAPES)] for number in range(count)):
            width, height = stored_size(*shape, side, resize)
            index.append((offset, 3 * width * height, height, width, *shape))
            offset += file.write(generator.bytes(3 * width * height))
    np.save(folder / "index.npy", np.array(index, dtype=np.int64))
    return StoredPictures(folder, "raw")


def _measured(
    options: argparse.Namespace, augmentation: Augmentation, size: int, device: torch.device
) -> dict[str, float]:
    """Return milliseconds a batch of each part, and what loading took."""
    labels = np.zeros(options.pictures, dtype=np.int64)
    dataset = PictureDataset([""] * options.pictures, labels, augmentation, options.resize, 1.0, 42)
    rows = np.random.default_rng(1).integers(0, options.pictures, options.batch_size)
    request = Request(rows, np.ones_like(rows), epoch=0, size=size)
    with tempfile.TemporaryDirectory(prefix="imageclf-device-store-") as folder:
        stored = write_pictures(Path(folder), options.pictures, dataset.side_of(size), options.resize)
        dataset.stores = {size: stored}
        started = time.perf_counter()
        store = DeviceStore(stored, dataset.viewing, labels, device)
        found = {"gigabytes": stored.num_bytes / 1e9, "loading_s": time.perf_counter() - started}
        jobs = _jobs(dataset, store, request)
        found |= {f"{name}_ms": _milliseconds(job, options.rounds, device) for name, job in jobs.items()}
    return {name: round(value, 4) for name, value in found.items()}


def _jobs(dataset: PictureDataset, store: DeviceStore, request: Request) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name."""
    viewing, rows = dataset.viewing, request.rows
    views, means = viewing.views(request), np.full(len(rows), 120.0)
    shapes = np.array([SHAPES[row % len(SHAPES)] for row in rows], dtype=np.float64)
    orders = store.send(request)[2:]
    return {
        "draws": lambda: viewing.views(request),
        "maps": lambda: viewing.maps(request, views, shapes, shapes),
        "tables": lambda: viewing.tables(views, means),
        "host": lambda: store.send(request),
        "torch": lambda: resample(store.pixels, *orders, request.size),
        # On CUDA the kernel, elsewhere torch once more.
        "device": lambda: store.resample(store.pixels, *orders, request.size),
        "batch": lambda: store.render(request),
        "cpu_path": lambda: dataset[request],
    }


def _milliseconds(job: Callable[[], object], rounds: int, device: torch.device) -> float:
    """Return milliseconds a call, of many that follow each other as in training."""
    for _ in range(2):
        job()
    _wait(device)
    started = time.perf_counter()
    for _ in range(rounds):
        job()
    _wait(device)
    return 1000 * (time.perf_counter() - started) / rounds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _augmentation(name: str) -> Augmentation:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=[f"transforms={name}"])
    return build_augmentation(to_plain(cfg.transforms))


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
