"""Print what a device's views have in common with the CPU's: `device_views.py cpu|cuda FOLDER`."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from presets import caching, preset, write_noise
from resample_cases import CASES, Case, far_behind

from imageclf.data import Batch, PictureDataset, Request
from imageclf.data.device_store import DeviceStore, Resample, fastest_on
from imageclf.data.features import featured
from imageclf.data.views.resample import resample

SIZE = 48


def equal(function: Resample, case: Case, device: torch.device) -> bool:
    """Return whether a function gives on the device the bits that torch gives on the CPU."""
    tensors = [each.to(device) for each in case[:4]]
    return torch.equal(function(*tensors, *case[4:]).cpu(), resample(*case))


def batches(stores: list[DeviceStore], wait: str) -> list[list[Batch]]:
    """Return batches of several stores.

    Args:
        stores: of the same pictures.
        wait: what torch does where a GPU is waited for: default, warn or error.
    """
    rows = np.repeat(np.arange(4), 4)
    requests = [Request(rows, np.tile([0, 1, 2, -1], 4), epoch, SIZE) for epoch in range(3)]
    # CUDA starts, and memory is pinned, with the first batch.
    for store in stores:
        store.render(requests[0])
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode(wait)
    found = [[store.render(request) for request in requests] for store in stores]
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("default")
    return found


def features_are_pinned(device: torch.device) -> bool:
    """Return whether batches of cached features are in pinned memory."""
    requests, rows = [Request(np.arange(2), np.zeros(2, dtype=np.int64), 0, SIZE)], np.arange(4)
    (batch,) = featured(torch.ones(4, 3), rows, rows, requests, device)
    return all(part.is_pinned() for part in batch[1:4])


def main(device: torch.device, folder: Path) -> None:
    """Print a line of JSON."""
    paths = write_noise(folder, [(40, 60), (60, 40), (48, 48), (200, 150)])
    dataset = PictureDataset(paths, np.arange(4), preset("fastai2"), "crop", 1.0, 42)
    sides = {SIZE: dataset.side_of(SIZE)}
    dataset.stores = caching(folder / "cache", cache="raw").stores(paths, sides, "crop")
    parts = dataset.stores[SIZE], dataset.viewing, dataset.labels
    stores = [DeviceStore(*parts, each) for each in (torch.device("cpu"), device)]
    here, there = batches(stores, wait="error")
    fastest = fastest_on(device)
    found = {
        "device": there[0].images.device.type,
        "kernel": fastest is not resample,
        "pinned": features_are_pinned(device),
        "same views by the fastest": all(equal(fastest, case, device) for case in CASES.values()),
        "same views by torch": all(equal(resample, case, device) for case in CASES.values()),
        "same views behind two gigabytes": equal(fastest, far_behind(folder / "large.bin"), device),
        "same batches": all(
            torch.equal(getattr(one, name), getattr(other, name).cpu())
            for one, other in zip(here, there, strict=True)
            for name in ("images", "labels", "rows")
        ),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    # Changing the debug mode warns that it is a prototype.
    warnings.filterwarnings("ignore", message="Synchronization debug mode")
    main(torch.device(sys.argv[1]), Path(sys.argv[2]))
