"""Learning rates that fall from layer to layer, in the optimizer and in real fits."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch
from probes import digest, lines
from small_runs import RECORDER, phases, train_small
from timm.optim import param_groups_layer_decay

from imageclf.callbacks.unfreezing import reset
from imageclf.callbacks.warm_restarts import depths_of, set_lrs
from imageclf.model import LinearHead
from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import layer_groups, parameter_groups
from imageclf.schedule import Phase

Train = Callable[..., Path]
GROUPS = ("body0", "body1", "head")
# One phase that decays by layer between two that do not.
MIXED = phases(
    start={"lr": 1e-2},
    tune={"lr": 1e-3, "unfreeze_to": 0, "layer_decay": 0.5},
    large={"lr": 1e-3, "unfreeze_to": "body1", "lr_ratio": 2.0},
)
EVERY_BATCH = "callbacks.checkpoint.every_n_batches=1"


def optimizer_of(name: str, by_layer: bool = True) -> tuple[ImageClassifier, torch.optim.Optimizer]:
    backbone = timm.create_model(name, num_classes=0)
    model = ImageClassifier(backbone, LinearHead(8, 3), (0.5,) * 3, (0.5,) * 3)
    rows = parameter_groups(model, layer_groups(model, 3), 0.05, by_layer)
    return model, torch.optim.AdamW(rows)


def final_weights(run_dir: Path) -> str:
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])


def depth_of(name: str) -> int:
    return int(name.rpartition("/")[2])


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """One run of three phases, recorded."""
    return train_small(tmp_path_factory.mktemp("mixed"), pictures, *MIXED, RECORDER, EVERY_BATCH)


@pytest.mark.parametrize(
    "name", ["test_vit", "test_convnext", "test_resnet", "test_efficientnet", "poolformer_s12", "pit_ti_224"]
)
def test_rates_and_weight_decay_are_those_that_timm_would_give(name: str) -> None:
    whole = timm.create_model(name, num_classes=3)
    names = {parameter: name for name, parameter in whole.named_parameters()}
    listed = getattr(whole, "no_weight_decay", set)()
    expected = {
        f"backbone.{names[parameter]}": (row["lr_scale"], row["weight_decay"])
        for row in param_groups_layer_decay(whole, 0.05, listed, layer_decay=0.75)
        for parameter in row["params"]
    }
    model, optimizer = optimizer_of(name)
    phase = Phase(lr=1.0, layer_decay=0.75, unfreeze_to=0)
    set_lrs(optimizer, phase.lrs(GROUPS, 1.0, depths=depths_of(optimizer)))
    ours = {parameter: name for name, parameter in model.named_parameters()}
    found = {
        ours[parameter]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert found["head.1.weight"] == (1.0, 0.05) and found["head.1.bias"] == (1.0, 0.0)
    body = {name: value for name, value in found.items() if name.startswith("backbone.")}
    assert len(body) > 20 and body == {name: expected[name] for name in body}


def test_each_parameter_is_in_one_group_that_knows_its_depth() -> None:
    model, optimizer = optimizer_of("test_vit")
    members = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(members) == len(set(members)) == len(list(model.parameters()))
    assert all(group["depth"] == depth_of(group["name"]) for group in optimizer.param_groups)


def test_without_layer_decay_a_layer_group_has_one_rate_whether_it_is_split_or_not() -> None:
    for by_layer in (True, False):
        _, optimizer = optimizer_of("test_vit", by_layer)
        phase = Phase(lr=[0.1, 0.2, 0.3], unfreeze_to=0)
        set_lrs(optimizer, phase.lrs(GROUPS, 1.0, depths=depths_of(optimizer)))
        rates = {(group["name"].split("/")[0], group["lr"]) for group in optimizer.param_groups}
        assert rates == {("body0", 0.1), ("body1", 0.2), ("head", 0.3)}


def test_resetting_keeps_the_depths() -> None:
    _, optimizer = optimizer_of("test_resnet")
    reset(optimizer)
    assert all("depth" in group for group in optimizer.param_groups)


def test_a_schedule_without_layer_decay_has_the_groups_that_it_always_had(train: Train) -> None:
    run_dir = train(*phases(one={"lr": 1e-3, "unfreeze_to": 0}), RECORDER)
    names = list(lines(run_dir, "batch")[0]["lrs"])
    assert names == [*GROUPS, *(f"{group}/no_decay" for group in GROUPS)]


def test_each_layers_rate_is_the_heads_times_the_decay_to_its_depth(mixed: Path) -> None:
    rows = [row["lrs"] for row in lines(mixed, "batch") if row["epoch"] == 1]
    assert len(rows) == 6 and len({depth_of(name) for name in rows[0]}) > 5
    for rates in rows:
        head = rates["head/0"]
        assert head > 0
        assert rates == {name: head * 0.5 ** depth_of(name) for name in rates}


def test_phases_before_and_after_it_have_one_rate_per_group(mixed: Path) -> None:
    for epoch, ratios in ((0, {0.0, 1.0}), (2, {0.0, 0.5, 1.0})):
        for row in lines(mixed, "batch"):
            head = row["lrs"]["head/0"]
            assert row["epoch"] != epoch or {rate / head for rate in row["lrs"].values()} == ratios


def test_the_plan_and_metrics_show_the_highest_rate_of_each_group(mixed: Path) -> None:
    plan, batches = pd.read_csv(mixed / "plan.csv"), lines(mixed, "batch")
    assert len(plan) == len(batches) > 0
    for group in GROUPS:
        highest = [max(lr for name, lr in row["lrs"].items() if name.startswith(group)) for row in batches]
        assert list(plan[f"lr/{group}"]) == pytest.approx(highest, rel=1e-9)
        first = plan[plan.batch == 0][f"lr/{group}"]
        assert list(pd.read_csv(mixed / "metrics.csv")[f"lr/{group}"]) == pytest.approx(list(first), rel=1e-9)


def test_a_decay_of_one_changes_not_a_bit(train: Train) -> None:
    plain = {"lr": 1e-3, "unfreeze_to": 0}
    runs = [
        train(*phases(one=values), name=name)
        for name, values in (("plain", plain), ("decayed", {**plain, "layer_decay": 1.0}))
    ]
    assert final_weights(runs[0]) == final_weights(runs[1])


@pytest.mark.long
@pytest.mark.parametrize(("epoch", "batch"), [(0, 3), (0, 5), (1, 2), (2, 0)])
def test_stopped_in_any_phase_it_ends_with_the_same_weights(
    mixed: Path, pictures: Path, tmp_path: Path, epoch: int, batch: int
) -> None:
    stop = f"+callbacks.stop={{_target_: probes.StopAt, epoch: {epoch}, batch: {batch}}}"
    stopped = [*MIXED, RECORDER, EVERY_BATCH, stop]
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path, pictures, *stopped)
    train_small(tmp_path, pictures, *stopped, "ckpt_path=auto")
    assert final_weights(tmp_path) == final_weights(mixed)


def test_the_finder_searches_with_the_rates_in_their_ratios(train: Train) -> None:
    values = {"lr": "auto", "unfreeze_to": 0, "layer_decay": 0.5}
    run_dir = train(*phases(fit=values), RECORDER, "callbacks.lr_finder.fallback=1e-3")
    found = json.loads((run_dir / "lr_find/fit.json").read_text())["suggestion"] or 1e-3
    first = lines(run_dir, "batch")[0]["lrs"]
    assert first["head/0"] == pytest.approx(found, rel=1e-9)
    assert first == {name: first["head/0"] * 0.5 ** depth_of(name) for name in first}
