"""Train a step on one GPU in one process, and in two that have half of the batch each; save what came out."""

import sys
from pathlib import Path

import timm
import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def step(rank: int, world: int, folder: Path) -> None:
    """Compute the gradients and the statistics of a batch that ranks share, in double precision."""
    meeting = f"file://{folder}/meeting-{world}"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=world)
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", num_classes=3).double()
    pictures, labels = torch.randn(8, 3, 64, 64).double(), torch.arange(8) % 3
    if world > 1:
        network = convert_sync_batchnorm(network)
    wrapped = DistributedDataParallel(network.cuda().train(), device_ids=[0])
    # A view of other pictures on each rank: their statistics differ.
    logits = wrapped(pictures[rank::world].cuda())
    nn.functional.cross_entropy(logits, labels[rank::world].cuda()).backward()
    if rank == 0:
        torch.save(outcome(network), folder / f"ranks-{world}.pt")
    distributed.destroy_process_group()


def outcome(network: nn.Module) -> dict[str, Tensor]:
    """Return all gradients and buffers on the CPU."""
    gradients = {name: each.grad for name, each in network.named_parameters() if each.grad is not None}
    return {name: each.cpu() for name, each in {**gradients, **dict(network.named_buffers())}.items()}


if __name__ == "__main__":
    for number in (1, 2):
        torch.multiprocessing.spawn(step, (number, Path(sys.argv[1])), nprocs=number)
