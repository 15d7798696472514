"""Greedy soup and batch norm measured anew, in real fits."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from predicting import predict_options
from small_runs import THREE_PHASES, phases, train_small
from torch.optim.swa_utils import update_bn

from imageclf.commands.predict import predict_pictures
from imageclf.model.weights.averaging import average_weights
from imageclf.training.build import Parts, build_parts
from imageclf.training.parts.table import table_of_run
from imageclf.training.run_config import read_run_config

Train = Callable[..., Path]
State = dict[str, torch.Tensor]
REFRESH = "callbacks.snapshots.refresh_bn=true"
# Three cycles in which every batch norm learns; with this seed the soup has several members.
CYCLES = [*phases(one={"n_cycles": 3, "lr": 3e-2, "unfreeze_to": 0}), "seed=2"]
HEAD_ONLY = phases(
    one={"n_cycles": 2, "lr": 1e-2, "unfreeze_to": "head", "augment": False, "precompute": True}
)
MIXED = ["average", "average_bn", "soup", "soup_bn", "ensemble"]


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A run of three cycles whose averages have batch norms measured anew."""
    return train_small(tmp_path_factory.mktemp("refreshed"), pictures, *CYCLES, REFRESH)


def load(run_dir: Path, name: str) -> State:
    state: State = torch.load(run_dir / f"snapshots/{name}.ckpt", weights_only=True)["state_dict"]
    return state


def listed(run_dir: Path) -> dict[str, Any]:
    return dict(json.loads((run_dir / "snapshots/candidates.json").read_text())["candidates"])


def summary_of(run_dir: Path) -> dict[str, Any]:
    return dict(json.loads((run_dir / "summary.json").read_text()))


def statistics(state: State) -> State:
    """Return what batch norms measure."""
    return {name: tensor for name, tensor in state.items() if name.endswith(("running_mean", "running_var"))}


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def rebuilt(run_dir: Path) -> Parts:
    config = read_run_config(run_dir)
    return build_parts(config, table_of_run(run_dir, config))


def measured_by(run_dir: Path, name: str, rank: int, num_ranks: int) -> State:
    """Return weights with the statistics that torch measures on a rank's share of the last epoch."""
    schedule, module, data = rebuilt(run_dir)
    data.setup("fit")
    data._rank = lambda: (rank, num_ranks)  # type: ignore[method-assign]
    requests = list(data.training_requests(schedule.epochs - 1))
    rows = [row for request in requests for row in request.rows]
    assert len(rows) == len(set(rows)) >= len(data.table.rows("train")) // num_ranks - 1
    plain = [replace(request, views=np.zeros_like(request.views)) for request in requests]
    module.model.load_state_dict(load(run_dir, name))
    update_bn((data._dataset[request].images for request in plain), module.model.eval())
    return dict(module.model.state_dict())


def test_the_candidates_are_the_cycles_and_their_mixtures(refreshed: Path) -> None:
    assert list(listed(refreshed)) == ["final", "one-0", "one-1", "one-2", *MIXED]


@pytest.mark.parametrize("name", MIXED)
def test_the_summary_has_the_scores_of_each_mixture(refreshed: Path, name: str) -> None:
    found, summary = listed(refreshed)[name], summary_of(refreshed)
    assert summary[f"val/acc_{name}"] == found["accuracy"]
    assert summary[f"val/loss_{name}"] == found["loss"]


def test_the_soup_is_the_average_of_the_members_that_it_names(refreshed: Path) -> None:
    members = listed(refreshed)["soup"]["members"]
    assert set(members) <= {"one-0", "one-1", "one-2"}
    expected = average_weights([load(refreshed, name) for name in members])
    for name, tensor in load(refreshed, "soup").items():
        torch.testing.assert_close(tensor, expected[name])


def test_the_soup_is_at_least_as_good_as_each_snapshot(refreshed: Path) -> None:
    found = listed(refreshed)
    order = {name: (-each["accuracy"], each["loss"]) for name, each in found.items()}
    assert all(order["soup"] <= order[name] for name in ("one-0", "one-1", "one-2"))
    assert found["soup"]["members"][0] == min(("one-0", "one-1", "one-2"), key=order.__getitem__)


def test_the_members_of_average_and_ensemble_are_the_last_snapshots(train: Train) -> None:
    found = listed(train(*CYCLES, "callbacks.snapshots.last=2"))
    assert found["average"]["members"] == found["ensemble"]["members"] == ["one-1", "one-2"]
    assert found["one-0"]["members"] == ["one-0"]
    assert list(found) == ["final", "one-0", "one-1", "one-2", "average", "soup", "ensemble"]


@pytest.mark.parametrize("name", ["soup", "soup_bn", "average_bn"])
def test_prediction_with_a_mixture_does_as_validation_says(
    refreshed: Path, pictures: Path, tmp_path: Path, name: str
) -> None:
    given = {"weights": name, "output": f"{tmp_path}/out.csv", "batch_size": 5}
    predict_pictures(predict_options(run=str(refreshed), data=str(pictures), **given))
    predicted = pd.read_csv(tmp_path / "out.csv").set_index("path")
    valid = pd.read_csv(refreshed / "predictions/valid.csv").set_index("path")
    predicted = predicted.loc[valid.index]
    assert (predicted.prediction == valid.label).mean() == listed(refreshed)[name]["accuracy"]
    right = [predicted.loc[path, label] for path, label in valid.label.items()]
    assert -np.log(right).mean() == pytest.approx(listed(refreshed)[name]["loss"], rel=1e-5)


@pytest.mark.parametrize("name", ["average", "soup"])
def test_refreshed_statistics_are_those_of_torch_on_the_training_pictures(refreshed: Path, name: str) -> None:
    measured = measured_by(refreshed, name, rank=0, num_ranks=1)
    found = load(refreshed, f"{name}_bn")
    assert not equal(statistics(found), statistics(load(refreshed, name)))
    for key, tensor in measured.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-5, atol=1e-6)


def test_nothing_but_statistics_is_refreshed(refreshed: Path) -> None:
    before, after = load(refreshed, "average"), load(refreshed, "average_bn")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert {name.rpartition(".")[2] for name in changed} <= {
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }


def test_refreshing_leaves_the_run_as_it_is(train: Train, refreshed: Path) -> None:
    plain = train(*CYCLES)
    assert equal(load(plain, "final"), load(refreshed, "final"))
    new = {name for name in summary_of(refreshed) if name.endswith("_bn")}
    best = {"best", "seconds", *(name for name in summary_of(plain) if "model" in name or "best" in name)}
    kept = summary_of(plain).keys() - best
    assert {name: summary_of(refreshed)[name] for name in kept} == {
        name: summary_of(plain)[name] for name in kept
    }
    assert summary_of(refreshed).keys() - summary_of(plain).keys() == new


def test_a_body_that_was_frozen_keeps_its_statistics_and_the_heads_are_refreshed(train: Train) -> None:
    run_dir = train(*HEAD_ONLY, REFRESH, "model.head._target_=imageclf.model.FastaiHead")
    before, after = statistics(load(run_dir, "average")), statistics(load(run_dir, "average_bn"))
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"head"}


def test_where_no_norm_learns_there_is_nothing_to_refresh_and_that_is_said(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    run_dir = train(*HEAD_ONLY, REFRESH)
    assert "no batch norm learns in any phase, so average_bn is average" in caplog.text
    assert equal(load(run_dir, "average"), load(run_dir, "average_bn"))
    assert listed(run_dir)["average_bn"]["loss"] == listed(run_dir)["average"]["loss"]


def test_without_validation_the_average_is_refreshed_all_the_same(train: Train) -> None:
    run_dir = train(*CYCLES, REFRESH, "data.valid_pct=0")
    assert not equal(statistics(load(run_dir, "average")), statistics(load(run_dir, "average_bn")))
    assert not (run_dir / "snapshots/candidates.json").exists()
    assert not (run_dir / "snapshots/soup.ckpt").exists()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("limit", ["+trainer.limit_train_batches=2", "+trainer.limit_train_batches=0.5"])
def test_a_limit_on_training_holds_for_refreshing_too(train: Train, limit: str) -> None:
    run_dir = train(*CYCLES, REFRESH, limit)
    seen = {int(tensor) for name, tensor in load(run_dir, "average_bn").items() if name.endswith("_tracked")}
    assert seen == {2 if limit.endswith("=2") else 3}


def test_refreshing_can_be_run_again_after_the_fit(train: Train) -> None:
    run_dir = train(*THREE_PHASES, REFRESH)
    before, weights = summary_of(run_dir), load(run_dir, "average_bn")
    (run_dir / "summary.json").unlink()
    train(*THREE_PHASES, REFRESH, "ckpt_path=auto")
    assert summary_of(run_dir) == before
    assert equal(load(run_dir, "average_bn"), weights)


def test_two_ranks_share_the_measuring_the_tasting_and_the_views(pictures: Path, tmp_path: Path) -> None:
    ranks = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    views = ["data.resize=crop", "callbacks.tta.views=five_crops", "callbacks.tta.keep_views=true"]
    run_dir = train_small(tmp_path, pictures, *CYCLES, REFRESH, *ranks, *views)
    assert list(listed(run_dir)) == ["final", "one-0", "one-1", "one-2", *MIXED]
    kept = np.load(run_dir / "predictions/valid_views.npz")
    assert list(kept["ids"]) == list(pd.read_csv(run_dir / "predictions/valid.csv", dtype=str)["id"])
    assert kept["probabilities"].shape == (7, 10, 3)
    measured = [measured_by(run_dir, "average", rank, num_ranks=2) for rank in (0, 1)]
    found = statistics(load(run_dir, "average_bn"))
    for name, tensor in found.items():
        mean = (measured[0][name] + measured[1][name]) / 2
        torch.testing.assert_close(tensor, mean, rtol=1e-4, atol=1e-5)
    assert not all(torch.allclose(tensor, measured[0][name], rtol=1e-3) for name, tensor in found.items())
