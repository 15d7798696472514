"""What benchmarks/gpu.py does and in which order: parts, jobs, the seconds that these take on an H100."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gpu_jobs import Job, Setting

FULL, BF16, FP16 = (f"trainer.precision={each}" for each in ("32-true", "bf16-mixed", "16-mixed"))
STORE, FILES = "data.device_store=on", "data.device_store=off"
ALONE, WORKERS = "data.num_workers=0", "data.num_workers=2"

PATHS = {
    "bf16-mixed, store": (BF16, STORE, "callbacks.tta.when=epoch"),
    "32-true, no store, no workers": (FULL, FILES, ALONE, "callbacks.tta.when=end"),
    "32-true, store": (FULL, STORE),
    "as shipped": (),
    "bf16-mixed, no store, 2 workers": (BF16, FILES, WORKERS),
    "16-mixed, store": (FP16, STORE, "callbacks.tta.when=end"),
    "16-mixed, no store, 2 workers": (FP16, FILES, WORKERS),
    "ddp, one device": ("trainer=ddp", "trainer.devices=1"),
}
BITWISE = {
    "32-true, store": (FULL, STORE),
    "bf16-mixed, no store": (BF16, FILES, WORKERS),
    "bf16-mixed, store": (BF16, STORE),
    "32-true, no store": (FULL, FILES, WORKERS),
}
SIZES = (224, 128, 64)
BACKBONES = ("resnet50", "resnet18", "tf_efficientnet_lite0", "convnext_tiny")
# Those that have a goal come first.
FIRST = (("resnet50", 224), ("resnet18", 224), ("tf_efficientnet_lite0", 128), ("convnext_tiny", 224))
# For these cuDNN compiles kernels.
DEPTHWISE = (("tf_efficientnet_lite0", 128), ("convnext_tiny", 128))
TINY = ("test_resnet", 32)


class Part(NamedTuple):
    """Jobs that belong together.

    Args:
        name: of the figures.
        jobs: in the order of their start.
        at_once: how many run side by side; one where anything is timed.
    """

    name: str
    jobs: Sequence[Job]
    at_once: int = 1


def parts(setting: Setting) -> list[Part]:
    """Return the parts, the most important ones first."""
    side_by_side = 2 if setting.quick else 4
    first = [TINY] if setting.quick else list(FIRST)
    sizes = [32, 48] if setting.quick else list(SIZES)
    return [
        Part("machine", [Job("machine", "gpu_machine", "describe", seconds=5)]),
        Part("paths", list(_paths(setting)), side_by_side),
        Part("commands", list(_commands()), side_by_side),
        Part("demo", [Job("demo", "gpu_commands", "demo", seconds=25)]),
        Part("stores", [Job("stores", "gpu_throughput", "shrink_all", (sizes,), seconds=15)]),
        Part("throughput", [_throughput(*each, seconds=22) for each in first]),
        Part("syncs", list(_syncs(setting))),
        Part("bitwise", list(_bitwise(setting)), side_by_side),
        Part("store", list(_store(setting))),
        Part("peers", list(_peers(setting))),
        Part("kernels", list(_kernels(setting)), side_by_side),
        Part("first start", list(_first_start(setting))),
        Part("costs", list(_costs(first[0]))),
        Part("throughput", [] if setting.quick else list(_other_throughput())),
        Part("compile", [Job("compile", "gpu_throughput", "compiled", first[0], seconds=60)]),
    ]


def _paths(setting: Setting) -> Iterator[Job]:
    # Drawn beside them; whatever needs them comes later.
    yield Job("pictures", "gpu_machine", "draw", seconds=20)
    for name, overrides in list(PATHS.items())[: 2 if setting.quick else None]:
        yield Job(name, "gpu_paths", "case", (name, *overrides), seconds=20)
    yield Job("same scores", "gpu_paths", "same_scores", seconds=20)


def _commands() -> Iterator[Job]:
    yield Job("export onnx", "gpu_commands", "export", ("onnx",), seconds=20)
    yield Job("predict", "gpu_commands", "predict", seconds=15)
    yield Job("export timm", "gpu_commands", "export", ("timm",), seconds=15)
    for name in ("finish", "batch_size", "lr_find"):
        yield Job(name, "gpu_commands", name, seconds=8)


def _kernels(setting: Setting) -> Iterator[Job]:
    for layout in ("channels_last", "contiguous_format"):
        for search in (False, True):
            for backbone, size in [TINY] if setting.quick else DEPTHWISE:
                name = f"{backbone} {layout} {search}"
                yield Job(name, "gpu_kernels", "first_batches", (backbone, size, layout, search), seconds=20)


def _throughput(backbone: str, size: int, seconds: float) -> Job:
    return Job(f"{backbone}@{size}", "gpu_throughput", "compare", (backbone, size), seconds)


def _other_throughput() -> Iterator[Job]:
    for size in SIZES:
        for backbone in BACKBONES:
            if (backbone, size) not in FIRST:
                yield _throughput(backbone, size, seconds=16)


def _syncs(setting: Setting) -> Iterator[Job]:
    chosen = TINY if setting.quick else ("resnet18", 64)
    for store in ("auto", "off"):
        yield Job(f"store={store}", "gpu_syncs", "count", (*chosen, store), seconds=8)


def _bitwise(setting: Setting) -> Iterator[Job]:
    for name, overrides in list(BITWISE.items())[: 2 if setting.quick else None]:
        yield Job(name, "gpu_bitwise", "stopped", (name, *overrides), seconds=25)
    yield Job("two runs as shipped", "gpu_bitwise", "as_shipped", seconds=18)


def _store(setting: Setting) -> Iterator[Job]:
    yield Job("differences", "gpu_store", "differences", (32 if setting.quick else 128,), seconds=8)
    for size in [32] if setting.quick else [224, 64]:
        yield Job(f"resampling at {size} px", "gpu_store", "resampling", (size,), seconds=8)


def _peers(setting: Setting) -> Iterator[Job]:
    for network, size in [("resnet18", 32)] if setting.quick else [("resnet50", 224), ("resnet18", 224)]:
        for peer in ("timm", "fastai"):
            yield Job(f"{peer} {network}@{size}", "gpu_peers", peer, (network, size), seconds=15)


def _costs(network: tuple[str, int]) -> Iterator[Job]:
    yield Job("host", "gpu_throughput", "host", TINY, seconds=8)
    yield Job("deterministic", "gpu_throughput", "deterministic", network, seconds=12)


def _first_start(setting: Setting) -> Iterator[Job]:
    few, many = (16, 48) if setting.quick else (1200, 6400)
    yield Job("decoding", "gpu_start", "decoding", (few,), seconds=5)
    yield Job("one core", "gpu_start", "first_start", (few, 1), seconds=18)
    yield Job("all cores", "gpu_start", "first_start", (many, 0), seconds=18)
