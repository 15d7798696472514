"""What the first batch of a new shape costs: cuDNN prepares, compiles or searches kernels for it."""

import time
from collections.abc import Callable

import timm
import torch
from gpu_jobs import Rows, Setting
from gpu_probes import synchronize
from gpu_throughput import NUM_CLASSES, fast_switches
from torch.nn.functional import cross_entropy

_STEPS = 20


def first_batches(setting: Setting, backbone: str, size: int, layout: str, search: bool) -> Rows:
    """Time the first batch of a process, the first ones of another size and of validation, then later steps.

    Args:
        setting: of all jobs.
        backbone: any timm name.
        size: pixels a side.
        layout: channels_last or contiguous_format.
        search: whether cuDNN searches for its fastest kernels.
    """
    device, memory_format = torch.device(setting.device), getattr(torch, layout)
    model = timm.create_model(backbone, num_classes=NUM_CLASSES).to(device, memory_format=memory_format)

    def logits(batch_size: int) -> torch.Tensor:
        images = torch.randn(batch_size, 3, size, size, device=device).contiguous(memory_format=memory_format)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            found: torch.Tensor = model(images)
        return found

    def learn(batch_size: int) -> None:
        labels = torch.arange(batch_size, device=device) % NUM_CLASSES
        cross_entropy(logits(batch_size), labels).backward()  # type: ignore[no-untyped-call]

    def seconds(call: Callable[[], object]) -> float:
        started = time.perf_counter()
        call()
        synchronize(device)
        return time.perf_counter() - started

    with fast_switches(search):
        figures = {"first": seconds(lambda: learn(64)), "smaller batch": seconds(lambda: learn(12))}
        with torch.no_grad():
            figures["validation"] = seconds(lambda: logits(51))
        figures["ms a step"] = 1000 * seconds(lambda: [learn(64) for _ in range(_STEPS)]) / _STEPS
    yield f"{backbone}@{size}, {layout}{', searched' if search else ''}", figures
