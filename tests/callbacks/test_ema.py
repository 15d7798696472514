"""The moving average of a run's weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from probes import digest
from small_runs import THREE_PHASES, phases, train_small

from imageclf import InputError
from imageclf.callbacks import Ema
from imageclf.callbacks.ema import has_stepped

Train = Callable[..., Path]
ON = "callbacks.ema.decay=0.9"
ONE = phases(one={"n_cycles": 2, "lr": 1e-2, "unfreeze_to": 0})
KEEP = "+callbacks.keep={_target_: probes.KeepWeights}"


def weights(run_dir: Path, name: str = "ema") -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run_dir / f"snapshots/{name}.ckpt", weights_only=True)[
        "state_dict"
    ]
    return state


def expected(steps: list[dict[str, torch.Tensor]], decay: float) -> dict[str, torch.Tensor]:
    """Average the weights after each step by the formula: no memory at first, then 1 - (1 + k)^(-2/3)."""
    average = {name: tensor.double() for name, tensor in steps[0].items()}
    for k, state in enumerate(steps[1:], start=1):
        share = min(decay, 1 - (1 + k) ** (-2 / 3))
        average = {name: share * old + (1 - share) * state[name].double() for name, old in average.items()}
    return average


@pytest.mark.parametrize("accumulate", [1, 2])
def test_it_is_the_moving_average_over_the_optimizer_steps(train: Train, accumulate: int) -> None:
    run_dir = train(*ONE, ON, KEEP, f"trainer.accumulate_grad_batches={accumulate}")
    steps = [torch.load(path) for path in sorted((run_dir / "steps").glob("*.pt"))]
    assert len(steps) > 4
    found, wanted = weights(run_dir), expected(steps, 0.9)
    floats = [name for name, tensor in found.items() if tensor.is_floating_point()]
    for name in floats:
        torch.testing.assert_close(found[name].double(), wanted[name], rtol=1e-4, atol=1e-5)
    assert {"backbone.conv_stem.weight", "backbone.bn1.running_var"} <= set(floats)


def test_it_is_a_candidate_and_a_result(train: Train) -> None:
    run_dir = train(*ONE, ON)
    listed = json.loads((run_dir / "snapshots/candidates.json").read_text())["candidates"]
    summary = json.loads((run_dir / "summary.json").read_text())
    assert listed["ema"]["files"] == ["ema.ckpt"]
    assert summary["val/acc_ema"] == listed["ema"]["accuracy"]


def test_without_a_decay_there_is_none(train: Train) -> None:
    assert not (train(*ONE) / "snapshots/ema.ckpt").exists()


def test_the_run_itself_is_the_same_with_it(train: Train) -> None:
    with_it, without = train(*ONE, ON, name="with"), train(*ONE, name="without")
    assert digest(weights(with_it, "final")) == digest(weights(without, "final"))


@pytest.mark.long
@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 0), (4, 5)])
def test_it_survives_a_stop_bit_for_bit(
    train: Train, pictures: Path, tmp_path: Path, epoch: int, batch: int
) -> None:
    stop = f"+callbacks.stop={{_target_: probes.StopAt, epoch: {epoch}, batch: {batch}}}"
    typed = [*THREE_PHASES, ON, stop, "callbacks.checkpoint.every_n_batches=1"]
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path / "stopped", pictures, *typed)
    resumed = train_small(tmp_path / "stopped", pictures, *typed, "ckpt_path=auto")
    undisturbed = train(*THREE_PHASES, ON, "callbacks.checkpoint.every_n_batches=1", name="undisturbed")
    assert digest(weights(resumed)) == digest(weights(undisturbed))


@pytest.mark.parametrize("decay", [0, 1, -0.1, 2.0])
def test_a_decay_outside_its_range_is_refused(tmp_path: Path, decay: float) -> None:
    with pytest.raises(InputError, match=rf"^callbacks\.ema\.decay={decay}: give a number between 0 and 1"):
        Ema(tmp_path, decay)


def test_every_batch_steps_without_accumulation() -> None:
    assert all(has_stepped(batch, 3, 1) for batch in range(3))
