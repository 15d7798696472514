"""The same network fed by other libraries from the same pictures, as fast as they document."""

from importlib.util import find_spec
from typing import Any

import torch
from gpu_jobs import Rows, Setting, SkippedError, Values
from gpu_machine import drawn_pictures
from gpu_probes import Clock
from gpu_throughput import BareLoop, batch_size, fast_switches, patience
from peers import fastai_loaders, timm_prefetcher

from imageclf.system.machine import available_cores


def timm(setting: Setting, network: str, size: int) -> Rows:
    """Time the bare loop on what `create_loader` and its prefetcher deliver."""
    device, count = torch.device(setting.device), workers(setting)
    loader = timm_prefetcher(drawn_pictures(setting), size, count, batch_size(setting), device)
    loop, clock = BareLoop(network, device), _clock(setting, device, len(loader))
    with fast_switches():
        while not _epoch(loop, loader, clock):
            pass
    yield f"timm {network}@{size}", _figures(clock, setting)


def fastai(setting: Setting, network: str, size: int) -> Rows:
    """Time `vision_learner` with all layers unfrozen, channels-last in bfloat16.

    Raises:
        SkippedError: fastai is not installed.
    """
    if find_spec("fastai") is None:
        raise SkippedError("fastai is not installed")
    from fastai.callback.channelslast import AMPMode  # type: ignore[import-untyped]
    from fastai.vision import all as library  # type: ignore[import-untyped]

    device, held_out = torch.device(setting.device), batch_size(setting)
    loaders = fastai_loaders(
        drawn_pictures(setting), size, workers(setting), batch_size(setting), device, held_out
    )
    clock = _clock(setting, device, len(loaders.train))

    class Ticking(library.Callback):  # type: ignore[misc]
        """End the fit when enough is timed."""

        def after_batch(self) -> None:
            """Tick with the training's batches."""
            if self.training and clock.tick(self.iter):
                raise library.CancelFitException

    learner: Any = library.vision_learner(loaders, getattr(library, network), pretrained=False, cbs=Ticking())
    if device.type == "cuda":
        learner.to_channelslast(amp_mode=AMPMode.BF16)
    learner.unfreeze()
    with fast_switches(), learner.no_bar(), learner.no_logging():
        learner.fit(100, 1e-3)
    yield f"fastai {network}@{size}", _figures(clock, setting)


def workers(setting: Setting) -> int:
    """Return as many processes as there are cores, but for those of the training process and its helpers."""
    return 1 if setting.quick else max(1, available_cores() - 2)


def _clock(setting: Setting, device: torch.device, steps: int) -> Clock:
    limits = patience(setting) | {"seconds": 0.1 if setting.quick else 4.0}
    numbers = int(limits["warm_up"]), limits["seconds"], int(limits["epochs"])
    return Clock(device, steps, *numbers, workers=workers(setting))


def _epoch(loop: BareLoop, loader: Any, clock: Clock) -> bool:
    """Go through an epoch, and return whether enough is timed."""
    for step, (images, labels) in enumerate(loader):
        loop.step(images, labels)
        if clock.tick(step):
            return True
    return False


def _figures(clock: Clock, setting: Setting) -> Values:
    rates = sorted(clock.rates(batch_size(setting)))
    return {"images/s": rates[len(rates) // 2], "lowest": rates[0], "workers": workers(setting)}
