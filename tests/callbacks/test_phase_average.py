"""The moving average of the weights that a phase with `ema` evaluates and keeps."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from probes import digest
from small_runs import phases, train_small

from imageclf.model.weights.averaging import State, follow

Train = Callable[..., Path]
KEEP = "+callbacks.keep={_target_: probes.KeepWeights}"
CYCLES = {"n_cycles": 2, "cycle_len": 2, "lr": 1e-2, "unfreeze_to": 0}


def schedule(**more: object) -> list[str]:
    return phases(head={"lr": 1e-2, "unfreeze_to": "head"}, tune=CYCLES | more)


def weights(run_dir: Path, name: str) -> State:
    state: State = torch.load(run_dir / f"snapshots/{name}.ckpt", weights_only=True)["state_dict"]
    return state


def steps_of(run_dir: Path) -> list[State]:
    """Return the weights after each step, before any callback of the package sees them."""
    return [torch.load(path) for path in sorted((run_dir / "steps").glob("*.pt"))]


def assert_average(found: State, steps: list[State], each: int) -> None:
    """Check a state against the formula, in double, for an average over the steps of one epoch."""
    for name in (name for name, tensor in found.items() if tensor.is_floating_point()):
        wanted = torch.stack([step[name].double() for step in steps[:each]]).mean(0)
        for step in steps[each:]:
            wanted += (step[name].double() - wanted) / each
        torch.testing.assert_close(found[name].double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> dict[str, list[State]]:
    """What the steps of a run led to, with an average and without, and the snapshots of the former."""
    folder = tmp_path_factory.mktemp("averages")
    averaged = train_small(folder / "with", pictures, *schedule(ema=1.0), KEEP)
    plain = train_small(folder / "without", pictures, *schedule(), KEEP)
    kept = [weights(averaged, name) for name in ("head-0", "tune-0", "tune-1", "final")]
    return {"with": steps_of(averaged), "without": steps_of(plain), "kept": kept}


def test_a_cycle_ends_with_the_average_over_its_steps(states: dict[str, list[State]]) -> None:
    _, first, *_ = states["kept"]
    steps = states["with"]
    each = len(steps) // 5
    assert each > 2
    assert_average(first, steps[each : 3 * each], each)


def test_the_next_cycle_averages_its_own_steps(states: dict[str, list[State]]) -> None:
    *_, second, final = states["kept"]
    steps = states["with"]
    each = len(steps) // 5
    assert_average(second, steps[3 * each :], each)
    assert digest(final) == digest(second)


def test_within_a_cycle_the_steps_are_those_without_an_average(states: dict[str, list[State]]) -> None:
    averaged, plain = states["with"], states["without"]
    first_cycle = 3 * (len(plain) // 5)
    assert [digest(state) for state in averaged[:first_cycle]] == [
        digest(state) for state in plain[:first_cycle]
    ]
    assert digest(averaged[first_cycle]) != digest(plain[first_cycle])


@pytest.mark.parametrize(("epoch", "batch"), [(2, 0), (1, 2), (3, 1)])
@pytest.mark.sampled(3)
def test_it_survives_a_stop_bit_for_bit(
    train: Train, pictures: Path, tmp_path: Path, epoch: int, batch: int
) -> None:
    stop = f"+callbacks.stop={{_target_: probes.StopAt, epoch: {epoch}, batch: {batch}}}"
    typed = [*schedule(ema=1.0), stop, "callbacks.checkpoint.every_n_batches=1"]
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path / "stopped", pictures, *typed)
    resumed = train_small(tmp_path / "stopped", pictures, *typed, "ckpt_path=auto")
    undisturbed = train(*schedule(ema=1.0), "callbacks.checkpoint.every_n_batches=1", name="undisturbed")
    assert digest(weights(resumed, "final")) == digest(weights(undisturbed, "final"))


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 0)])
@pytest.mark.sampled(2)
def test_it_starts_where_a_run_without_an_average_has_come_to(
    pictures: Path, tmp_path: Path, epoch: int, batch: int
) -> None:
    stop = f"+callbacks.stop={{_target_: probes.StopAt, epoch: {epoch}, batch: {batch}}}"
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path / "plain", pictures, *schedule(), stop, "callbacks.checkpoint.every_n_batches=1")
    start = f"ckpt_path={tmp_path}/plain/checkpoints/last.ckpt"
    averaged = train_small(tmp_path / "averaged", pictures, *schedule(ema=1.0), start)
    assert weights(averaged, "final").keys() == weights(averaged, "tune-0").keys()


def test_whole_numbers_are_those_of_the_newest_state() -> None:
    average = {"weight": torch.zeros(2), "count": torch.tensor(3)}
    follow(average, {"weight": torch.ones(2), "count": torch.tensor(7)}, decay=0.75)
    assert average["weight"].tolist() == [0.25, 0.25] and average["count"] == 7
