"""Optimizers other than the default one, inside a real fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as pl
import pytest
import torch
from probes import digest
from small_runs import phases, train_small
from timm.optim import Lamb

from imageclf.callbacks.unfreezing import reset

Train = Callable[..., Path]
TWO_PHASES = phases(
    one={"lr": 1e-2, "unfreeze_to": "head", "augment": False},
    two={"lr": "auto", "unfreeze_to": 0, "cycle_len": 2},
)
LAMB = [*TWO_PHASES, "model/optimizer=lamb", f"+callbacks.steps={{_target_: {__name__}.Steps}}"]


class Steps(pl.Callback):
    """Write down how many steps the optimizer has counted in each group, after each batch."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "steps.jsonl"

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        steps = [int(group["step"]) for group in trainer.optimizers[0].param_groups]
        row = {"epoch": trainer.current_epoch, "batch": batch_idx, "steps": steps}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")


@pytest.fixture(scope="module")
def lamb(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A run of two phases with timm's Lamb, which counts its steps per group."""
    run_dir = tmp_path_factory.mktemp("lamb")
    return train_small(run_dir, pictures, *LAMB, "callbacks.checkpoint.every_n_batches=1")


def final_weights(run_dir: Path) -> str:
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])


def test_a_count_of_steps_per_group_starts_afresh_with_each_phase(lamb: Path) -> None:
    rows = [json.loads(line) for line in (lamb / "steps.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0] * 6 + [1] * 6 + [2] * 6
    # Six batches, then a search that leaves no trace, then two epochs of six.
    assert [set(row["steps"]) for row in rows] == [{n} for n in (*range(1, 7), *range(1, 13))]


@pytest.mark.long
@pytest.mark.parametrize(("epoch", "batch"), [(0, 3), (0, 5), (1, 2)])
def test_stopped_after_any_batch_it_ends_with_the_same_weights(
    lamb: Path, pictures: Path, tmp_path: Path, epoch: int, batch: int
) -> None:
    stop = f"+callbacks.stop={{_target_: probes.StopAt, epoch: {epoch}, batch: {batch}}}"
    stopped = [*LAMB, "callbacks.checkpoint.every_n_batches=1", stop]
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path, pictures, *stopped)
    train_small(tmp_path, pictures, *stopped, "ckpt_path=auto")
    assert final_weights(tmp_path) == final_weights(lamb)


@pytest.mark.parametrize("build", [Lamb, torch.optim.AdamW, torch.optim.SGD])
def test_a_forgetful_optimizer_steps_like_a_new_one(build: Any) -> None:
    start = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    gradient = torch.arange(6.0).reshape(3, 2)
    weights = []
    for used_before in (False, True):
        parameter = torch.nn.Parameter(start.clone())
        optimizer = build([{"params": [parameter], "name": "head", "lr": 0.1, "weight_decay": 0.01}])
        if used_before:
            parameter.grad = -gradient
            optimizer.step()
            reset(optimizer)
            parameter.data.copy_(start)
        parameter.grad = gradient.clone()
        optimizer.step()
        weights.append(parameter.detach())
        assert optimizer.param_groups[0]["name"] == "head"
    assert torch.equal(*weights)


def test_sgd_trains_with_nesterov_momentum(train: Train) -> None:
    run_dir = train(*TWO_PHASES, "model/optimizer=sgd", "callbacks.checkpoint.every_n_batches=1")
    state = torch.load(run_dir / "checkpoints/last.ckpt", weights_only=True)["optimizer_states"][0]
    assert {(group["momentum"], group["nesterov"]) for group in state["param_groups"]} == {(0.9, True)}
    assert all(set(each) == {"momentum_buffer"} for each in state["state"].values())
    assert len(state["state"]) > 10
