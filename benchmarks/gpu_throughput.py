"""Images per second of a training as shipped, against a bare loop on one batch that stays on the device."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from tempfile import mkdtemp
from typing import Any

import timm
import torch
from gpu_jobs import Rows, Setting, Values
from gpu_machine import drawn_pictures
from gpu_probes import synchronize
from gpu_runs import on, phases, probed
from pictures import find_pictures
from torch import Tensor
from torch.nn.functional import cross_entropy

NUM_CLASSES = 10
# Nothing but model, data, size and one phase is chosen: a long one, which is cut off when enough was timed.
ONE_PHASE = phases(all="{cycle_len: 80, lr: 1e-3, unfreeze_to: 0}")


class BareLoop:
    """What one would write by hand to be fast: bfloat16, channels-last, a fused optimizer.

    Args:
        backbone: any timm name.
        device: to train on.
    """

    def __init__(self, backbone: str, device: torch.device) -> None:
        model: Any = timm.create_model(backbone, num_classes=NUM_CLASSES)
        self._model = model.to(device, memory_format=torch.channels_last).train()
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=1e-4, fused=True)
        self._device = device

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Learn a batch: normalised pictures `[B, 3, H, W]` and their labels `[B]`, on the device."""
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            loss = cross_entropy(self._model(images), labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()


class Limit:
    """The bare loop on one batch that stays on the device: what feeds it takes no time.

    Args:
        backbone: any timm name.
        size: pixels a side.
        batch_size: pictures.
        device: to train on.
    """

    def __init__(self, backbone: str, size: int, batch_size: int, device: torch.device) -> None:
        self._loop = BareLoop(backbone, device)
        images = torch.randn(batch_size, 3, size, size, device=device)
        self._images = images.contiguous(memory_format=torch.channels_last)
        self._labels = torch.arange(batch_size, device=device) % NUM_CLASSES
        self._device = device

    def rate(self, seconds: float, warm_up: int, search: bool = True) -> float:
        """Return images per second.

        Args:
            seconds: about how long to look.
            warm_up: steps before that.
            search: whether cuDNN searches for its fastest kernels.
        """
        with fast_switches(search):
            self._seconds(warm_up)
            steps = max(3, round(seconds / (self._seconds(3) / 3)))
            return steps * len(self._labels) / self._seconds(steps)

    def first_step(self, search: bool) -> float:
        """Return the seconds of a step, the first one with or without the search."""
        with fast_switches(search):
            return self._seconds(1)

    def _seconds(self, steps: int) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            self._loop.step(self._images, self._labels)
        synchronize(self._device)
        return time.perf_counter() - started


@contextmanager
def fast_switches(search: bool = True) -> Iterator[None]:
    """Let cuDNN be fast, with or without its search for kernels, and leave the switches as they were."""
    cudnn: Any = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic, torch.get_float32_matmul_precision()
    exact = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(False)
    cudnn.benchmark, cudnn.deterministic = search, False
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before[:2]
        torch.set_float32_matmul_precision(before[2])
        torch.use_deterministic_algorithms(exact[0], warn_only=exact[1])


def compare(setting: Setting, backbone: str, size: int) -> Rows:
    """Time limit, ours with a store, limit, ours without one, limit; each of ours goes by its neighbours."""
    seconds = 0.1 if setting.quick else 1.0
    before = start_of_memory()
    limit = Limit(backbone, size, batch_size(setting), torch.device(setting.device))
    yield f"{backbone}@{size} cuDNN's search", searched(limit, setting, seconds)
    limits = [limit.rate(seconds, warm_up=10)]
    peak = gibibytes_since(before)
    for store in ("auto", "off"):
        found = ours(setting, backbone, size, store)
        limits.append(limit.rate(seconds, warm_up=3))
        share = {"of the limit": found["images/s"] / mean(limits[-2:])}
        yield f"{backbone}@{size} store={store}", {"images/s": found["images/s"], **share, **found}
    spread = {"lowest": min(limits), "highest": max(limits), "GiB": peak}
    yield f"{backbone}@{size} limit", {"images/s": median(limits), **spread}


def searched(limit: Limit, setting: Setting, seconds: float) -> Values:
    """Return what cuDNN's search takes and brings, and after how many steps it has paid; None: never."""
    begun = limit.first_step(search=False)
    without = limit.rate(seconds, warm_up=3, search=False)
    search = limit.first_step(search=True)
    with_search = limit.rate(seconds, warm_up=3)
    saved = batch_size(setting) * (1 / without - 1 / with_search)
    return {
        "first step": begun,
        "search": search,
        "without": without,
        "with": with_search,
        "pays after": search / saved if saved > 0 else None,
    }


def ours(setting: Setting, backbone: str, size: int, store: str, *more: str) -> Values:
    """Train as shipped until enough is timed; return images per second, peak memory and what was chosen."""
    before = start_of_memory()
    typed = overrides(setting, backbone, size, store)
    found = probed(new_folder(setting), "Timing", patience(setting), *typed, *ONE_PHASE, *more)
    rates = found.pop("rates")
    return {"images/s": median(rates), "lowest": min(rates), "GiB": gibibytes_since(before), **found}


def patience(setting: Setting) -> dict[str, float]:
    """Return how long to look, as arguments of `Clock` and `Timing`."""
    long = {"warm_up": 15, "seconds": 1.5, "epochs": 4}
    return {"warm_up": 1, "seconds": 0.1, "epochs": 1} if setting.quick else long


def overrides(setting: Setting, backbone: str, size: int, store: str) -> list[str]:
    """Return what is typed for a run on all of the pictures, but for its phases."""
    return [
        *on(setting),
        "data=folder",
        f"data.root={drawn_pictures(setting)}",
        "data.train=.",
        "data.valid=null",
        "data.valid_pct=0",
        f"data.size={size}",
        f"data.batch_size={batch_size(setting)}",
        f"data.device_store={_asked(setting, store)}",
        f"model.backbone={backbone}",
        "model.weights=none",
    ]


def batch_size(setting: Setting) -> int:
    """Return the pictures of a step."""
    return 8 if setting.quick else 256


def host(setting: Setting, backbone: str, size: int) -> Rows:
    """Time steps that are nothing for the device: what is left is the host's work."""
    found = ours(setting, backbone, size, "auto")
    milliseconds = 1000 * batch_size(setting) / found["images/s"]
    yield (
        f"{backbone}@{size}, a step",
        {"ms": milliseconds, "store": found["store"], "workers": found["workers"]},
    )


def deterministic(setting: Setting, backbone: str, size: int) -> Rows:
    """Train with trainer.deterministic=true."""
    found = ours(setting, backbone, size, "auto", "trainer.deterministic=true")
    yield f"{backbone}@{size}, deterministic", {name: found[name] for name in ("images/s", "lowest", "GiB")}


def compiled(setting: Setting, backbone: str, size: int) -> Rows:
    """Train a network that torch compiles."""
    found = ours(setting, backbone, size, "auto", "model.compile=inductor")
    kept = ("images/s", "first step")
    yield f"{backbone}@{size}, model.compile=inductor", {name: found[name] for name in kept}


def shrink_all(setting: Setting, sizes: list[int]) -> Rows:
    """Start a run on all sizes, which checks the pictures and shrinks them for each."""
    each = {f"of{size}": f"{{lr: 1e-3, size: {size}}}" for size in sizes}
    typed = overrides(setting, "test_resnet", sizes[0], "off")
    started = time.perf_counter()
    probed(new_folder(setting), "StopAt", {"epoch": 0, "batch": 0}, *typed, *phases(**each))
    seconds, count = time.perf_counter() - started, len(find_pictures(drawn_pictures(setting)))
    yield f"start with {', '.join(map(str, sizes))} px", {"pictures": count, "seconds": seconds}


def new_folder(setting: Setting) -> Path:
    """Return a folder for a run whose name is of no interest."""
    parent = setting.runs / "throughput"
    parent.mkdir(parents=True, exist_ok=True)
    return Path(mkdtemp(dir=parent))


def _asked(setting: Setting, store: str) -> str:
    # On a CPU auto is off.
    return "on" if setting.device == "cpu" and store == "auto" else store


def start_of_memory() -> int:
    """Return the bytes in use on the GPU, and count the peak from here."""
    gc.collect()
    if not torch.cuda.is_available():
        return 0
    # Before it has started, CUDA has no peak to be reset.
    torch.cuda.init()  # type: ignore[no-untyped-call]
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def gibibytes_since(start: int) -> float | None:
    """Return the peak since `start_of_memory`, beyond what was in use then; None without CUDA."""
    return (torch.cuda.max_memory_allocated() - start) / 2**30 if torch.cuda.is_available() else None
