"""What a run trains on, and what `auto` in the trainer node stands for there."""

import os
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch

from imageclf import InputError
from imageclf.configs.keys import accepts
from imageclf.system.machine import processor_name
from imageclf.system.printable import written

Kind = Literal["cuda", "mps", "cpu"]

ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")
DETERMINISTIC = ("auto", True, False, "warn")
_DEVICES = re.compile(r"auto|-1|[1-9]\d*")
# As Lightning spells them, and the short forms that it takes too.
_PRECISIONS = {
    "auto": "auto",
    "32-true": "32-true",
    "32": "32-true",
    "16-mixed": "16-mixed",
    "16": "16-mixed",
    "bf16-mixed": "bf16-mixed",
    "bf16": "bf16-mixed",
    "None": "32-true",
}


class Device(NamedTuple):
    """What a run trains on.

    Args:
        kind: cuda, mps or cpu.
        name: of the card or the processor.
        has_bf16: whether it multiplies bfloat16 in hardware.
    """

    kind: Kind
    name: str
    has_bf16: bool


class Choice(NamedTuple):
    """What a trainer node means on a device.

    Args:
        accelerator: cuda, mps or cpu.
        precision: 32-true, 16-mixed or bf16-mixed.
        deterministic: True: bit for bit; warn: as far as torch can, with a warning where it cannot.
        benchmark: whether cuDNN always searches for its fastest kernels; else `KernelSearch` decides.
        matmul: precision of products of float32 matrices; high: as TF32, with ten bits.
    """

    accelerator: Kind
    precision: str
    deterministic: bool | Literal["warn"]
    benchmark: bool
    matmul: Literal["highest", "high"]

    @property
    def arguments(self) -> dict[str, Any]:
        """Return it as arguments of the Trainer."""
        return {name: value for name, value in self._asdict().items() if name != "matmul"}


def choose(node: Mapping[str, Any], device: Device) -> Choice:
    """Return what a trainer node means on a device; the one place where `auto` is resolved.

    - `precision: auto` is bf16-mixed on cards with bfloat16, 16-mixed on older ones, 32-true elsewhere.
    - `deterministic: auto` is warn on the CPU, where the same sums come out anyway, and false elsewhere.
    - What is not deterministic uses TF32 on GPUs.

    Raises:
        InputError: the device cannot compute in that precision, or not synchronise batch norm.
    """
    precision = precision_of(node)
    if precision == "auto":
        mixed = "bf16-mixed" if device.has_bf16 else "16-mixed"
        precision = mixed if device.kind == "cuda" else "32-true"
    if precision == "16-mixed" and device.kind == "cpu":
        raise InputError(
            f"trainer.precision={node['precision']}: a CPU does not train in float16; give auto, 32-true or "
            "bf16-mixed"
        )
    if node.get("sync_batchnorm") and device.kind == "cpu" and total_ranks(node) > 1:
        raise InputError(
            "trainer.sync_batchnorm=true: torch synchronises batch norm between GPUs alone; leave it out on "
            "the CPU, or give schedule.phases.NAME.bn=eval, which needs no synchronising"
        )
    deterministic = node.get("deterministic", "auto")
    if deterministic == "auto":
        deterministic = "warn" if device.kind == "cpu" else False
    fast = device.kind == "cuda" and not deterministic
    return Choice(
        accelerator=device.kind,
        precision=precision,
        deterministic=deterministic,
        benchmark=bool(node.get("benchmark")),
        matmul="high" if fast else "highest",
    )


def check_accelerator(node: Mapping[str, Any]) -> None:
    """Refuse values that no machine takes, before it is known where the run trains."""
    for name, legal in (("accelerator", ACCELERATORS), ("deterministic", DETERMINISTIC)):
        if node.get(name, "auto") not in legal:
            words = ", ".join(str(value).lower() for value in legal)
            raise InputError(f"trainer.{name}={node[name]}: give one of {words}")
    devices = node.get("devices", 1)
    is_list = bool(devices) and accepts(list[int], devices)
    # Lightning takes a number as text, too.
    if not is_list and (isinstance(devices, list) or not _DEVICES.fullmatch(str(devices))):
        raise InputError(
            f"trainer.devices={written(devices)}: give a whole number from 1, auto or -1 for all, or a list "
            "of GPUs such as [0,1]"
        )
    precision_of(node)
    if node.get("accelerator") == "cpu":
        choose(node, Device("cpu", "", has_bf16=False))


def precision_of(node: Mapping[str, Any], key: str = "trainer.precision") -> str:
    """Return a trainer node's precision as Lightning spells it, or auto; `key` is for the message.

    Raises:
        InputError: it is none in which phases, searches and candidates are tested.
    """
    given = str(node.get("precision", "auto"))
    if given not in _PRECISIONS:
        raise InputError(f"{key}={given}: give auto, 32-true (or 32), 16-mixed (16) or bf16-mixed (bf16)")
    return _PRECISIONS[given]


def kind_of(accelerator: str, num_gpus: int, has_mps: bool) -> Kind:
    """Return the kind of device that `trainer.accelerator` means on a machine.

    Raises:
        InputError: the machine has none of that kind.
    """
    there: dict[Kind, bool] = {"cuda": num_gpus > 0, "mps": has_mps, "cpu": True}
    asked = {"auto": ("cuda", "mps", "cpu"), "gpu": ("cuda", "mps")}.get(accelerator, (accelerator,))
    for kind, is_there in there.items():
        if is_there and kind in asked:
            return kind
    raise InputError(
        f"trainer.accelerator={accelerator}: torch finds none here; give trainer=auto or trainer=cpu"
    )


def read_device(node: Mapping[str, Any]) -> Device:
    """Return what a trainer node trains on, on this machine.

    CUDA is started only where it is chosen: on a node of several GPUs not before this process trains.

    Raises:
        InputError: the machine has none of the kind that the node asks for.
    """
    # This counts without starting CUDA.
    kind = kind_of(
        node.get("accelerator", "auto"), torch.cuda.device_count(), torch.backends.mps.is_available()
    )
    if kind != "cuda":
        return Device(kind, processor_name(), has_bf16=False)
    devices = node.get("devices")
    # All ranks look at the first card, so that they choose alike.
    card = torch.cuda.get_device_properties(devices[0] if isinstance(devices, list) else 0)
    # Before Ampere torch emulates it: slower than float32.
    return Device("cuda", card.name, has_bf16=torch.version.hip is not None or card.major >= 8)


def may_use_cuda(node: Mapping[str, Any]) -> bool:
    """Return whether a trainer node trains with CUDA on this machine, without starting it."""
    return node.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.device_count() > 0


def settle(node: Mapping[str, Any]) -> dict[str, Any]:
    """Set torch's switches for a trainer node on this machine, and return the Trainer's arguments.

    All of them are set: an earlier run in this process may have left others.

    Raises:
        InputError: the machine does not have what the node asks for.
    """
    choice = choose(node, read_device(node))
    torch.set_float32_matmul_precision(choice.matmul)
    if choice.accelerator == "cuda":
        # cuBLAS reads it once in a process, at the first product: without it no later run is deterministic.
        # https://docs.nvidia.com/cuda/cublas/#results-reproducibility
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return choice.arguments


def num_ranks(trainer: Mapping[str, Any], num_gpus: int | None = None) -> int:
    """Return how many processes a trainer node starts on a machine.

    Without `num_gpus`, those of this machine count.
    """
    devices = trainer.get("devices", 1)
    if isinstance(devices, list):
        return len(devices)
    if devices not in ("auto", -1, "-1"):
        return int(devices)
    if trainer.get("accelerator") == "cpu":
        return 1
    return max(1, torch.cuda.device_count() if num_gpus is None else num_gpus)


def total_ranks(trainer: Mapping[str, Any]) -> int:
    """Return how many processes a trainer node starts, over all machines."""
    return num_ranks(trainer) * int(trainer.get("num_nodes") or 1)
