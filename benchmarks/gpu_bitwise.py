"""With trainer.deterministic=true a run that was stopped inside an epoch goes on to the same bits."""

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import torch
from gpu_jobs import Rows, Setting, Values
from gpu_probes import EnoughError
from gpu_runs import alone, folder_of, on, phases, train

EXACT = "trainer.deterministic=true"
# Inside the last epoch; it goes on from the save that came one batch before.
STOP = "+callbacks.stop={_target_: gpu_probes.StopAt, epoch: 2, batch: 4}"
STOPPED = ", stopped and gone on"


def stopped(setting: Setting, name: str, *chosen: str) -> Rows:
    """Compare an undisturbed run with one that was stopped and goes on; each start is a new process."""
    folder = folder_of(setting, "bitwise", name)
    typed = [*_overrides(setting), EXACT, *chosen]
    alone(train, folder / "undisturbed", *typed)
    alone(_until_stopped, folder / "stopped", *typed, STOP)
    if (folder / "stopped" / "summary.json").exists():
        raise RuntimeError("the run was not stopped")
    alone(train, folder / "stopped", *typed, STOP, "ckpt_path=auto")
    yield name + STOPPED, compared(folder / "undisturbed", folder / "stopped")


def as_shipped(setting: Setting) -> Rows:
    """Compare two undisturbed runs on the fast path, which promises nothing."""
    folder = folder_of(setting, "bitwise", "as shipped")
    for name in ("one", "two"):
        alone(train, folder / name, *_overrides(setting))
    yield "two runs as shipped (information)", compared(folder / "one", folder / "two")


def compared(one: Path, two: Path) -> Values:
    """Return whether the final weights of two runs are the same bits, and how far they are apart."""
    weights = [_weights(each) for each in (one, two)]
    pairs = [(weights[0][name].double(), weights[1][name].double()) for name in weights[0]]
    largest = max(float((a - b).abs().max()) for a, b in pairs)
    hashes = [digest(each) for each in weights]
    losses = [json.loads((each / "summary.json").read_text())["val/loss"] for each in (one, two)]
    return {"equal": hashes[0] == hashes[1], "apart": largest, "val/loss apart": abs(losses[0] - losses[1])}


def digest(weights: dict[str, torch.Tensor]) -> str:
    """Return a hash of all bytes of a state dict."""
    hashed = sha256()
    for name, tensor in sorted(weights.items()):
        hashed.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _weights(run_dir: Path) -> dict[str, torch.Tensor]:
    content = torch.load(run_dir / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    state: dict[str, torch.Tensor] = content["state_dict"]
    return state


def _until_stopped(run_dir: Path, *typed: str) -> None:
    with suppress(EnoughError):
        train(run_dir, *typed)


def _overrides(setting: Setting) -> list[str]:
    backbone, size = ("test_resnet", 32) if setting.quick else ("resnet18", 64)
    return [
        *on(setting),
        "data=folder",
        f"data.root={setting.stamps}",
        "data.train=train",
        "data.valid=null",
        f"data.size={size}",
        "data.batch_size=32",
        "data.resize=squish",
        f"model.backbone={backbone}",
        "model.weights=none",
        "model.head.dropout=0.2",
        "model.mixing.mixup=0.4",
        "model.mixing.erase=0.25",
        "callbacks.checkpoint.every_n_batches=2",
        "~callbacks.tta",
        "~callbacks.report",
        *phases(
            head="{lr: 1e-2, unfreeze_to: head, augment: false, precompute: true}",
            all="{cycle_len: 2, lr: 1e-3, lr_ratio: 3.0, unfreeze_to: 0}",
        ),
    ]
