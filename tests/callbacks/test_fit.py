"""What the callbacks do inside a real fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from probes import lines
from small_runs import RECORDER, THREE_PHASES, phases, train_small

from imageclf.schedule import Schedule

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """One run of three phases, recorded."""
    return train_small(tmp_path_factory.mktemp("recorded"), pictures, *THREE_PHASES, RECORDER)


def of_phase(run_dir: Path, kind: str, name: str) -> list[dict]:
    metrics = pd.read_csv(run_dir / "metrics.csv")
    epochs = set(metrics[metrics.phase == name].epoch)
    return [row for row in lines(run_dir, kind) if row["epoch"] in epochs]


def test_three_groups_have_half_their_rates_in_the_optimizer_halfway_through_a_cycle(train: Train) -> None:
    run_dir = train(*phases(one={"lr": [1e-4, 1e-3, 1e-2], "unfreeze_to": 0}), RECORDER)
    batches = lines(run_dir, "batch")
    assert len(batches) == 6
    halfway = batches[3]["lrs"]
    assert [halfway[name] for name in ("body0", "body1", "head")] == pytest.approx(
        [5e-5, 5e-4, 5e-3], rel=1e-12
    )
    assert halfway["body0/no_decay"] == halfway["body0"]


def test_the_rates_of_every_batch_are_those_of_the_plan(recorded: Path) -> None:
    plan = pd.read_csv(recorded / "plan.csv")
    batches = lines(recorded, "batch")
    assert len(batches) == len(plan) > 0
    for group in ("body0", "body1", "head"):
        assert [row["lrs"][group] for row in batches] == pytest.approx(list(plan[f"lr/{group}"]), rel=1e-9)


def test_each_phase_trains_its_groups_and_no_others(recorded: Path) -> None:
    counts = [of_phase(recorded, "epoch", name)[0]["trainable"] for name in ("start", "tune", "large")]
    assert counts[0] == 2 < counts[1] < counts[2]


def test_a_frozen_group_keeps_its_weights_and_an_unfrozen_one_does_not(recorded: Path) -> None:
    start, tuned = (
        torch.load(recorded / f"snapshots/{name}.ckpt")["state_dict"] for name in ("start-0", "tune-1")
    )
    assert torch.equal(start["backbone.conv_stem.weight"], tuned["backbone.conv_stem.weight"])
    assert not torch.equal(start["backbone.conv_head.weight"], tuned["backbone.conv_head.weight"])


def test_batch_norm_of_a_frozen_body_keeps_its_statistics(recorded: Path) -> None:
    assert [row["norms_in_training"] for row in of_phase(recorded, "epoch", "start")] == [0, 0]


def test_bn_eval_holds_for_unfrozen_groups_too(recorded: Path) -> None:
    assert {row["norms_in_training"] for row in of_phase(recorded, "epoch", "tune")} == {0}


def test_bn_train_lets_every_norm_of_an_unfrozen_body_learn(recorded: Path) -> None:
    assert of_phase(recorded, "epoch", "large")[0]["norms_in_training"] > 10


def test_the_optimizer_starts_afresh_with_each_phase_and_not_with_each_cycle(recorded: Path) -> None:
    steps = [row["optimizer_steps"] for row in lines(recorded, "epoch")]
    assert steps == [6, 12, 6, 12, 18, 4]


def test_a_precompute_phase_trains_on_features_and_the_next_on_pictures(recorded: Path) -> None:
    assert all(row["from_features"] for row in of_phase(recorded, "batch", "start"))
    assert not any(row["from_features"] for row in of_phase(recorded, "batch", "tune"))


def test_size_and_batch_size_change_with_the_phase(recorded: Path) -> None:
    rows = of_phase(recorded, "batch", "large")
    assert {row["size"] for row in rows} == {48}
    assert [len(row["rows"]) for row in rows] == [7, 7, 7, 7]


def test_an_epoch_shows_each_training_picture_once(recorded: Path) -> None:
    split = pd.read_csv(recorded / "split.csv")
    training = set(split.index[split.split == "train"])
    first = [row for row in lines(recorded, "batch") if row["epoch"] == 0]
    seen = [index for row in first for index in row["rows"]]
    assert sorted(seen) == sorted(training)


def test_metrics_has_a_row_per_epoch_and_the_mean_loss_over_its_pictures(recorded: Path) -> None:
    metrics = pd.read_csv(recorded / "metrics.csv")
    assert list(metrics.epoch) == [0, 1, 2, 3, 4, 5]
    batches = [row for row in lines(recorded, "batch") if row["epoch"] == 2]
    weighted = sum(row["loss"] * len(row["rows"]) for row in batches) / sum(
        len(row["rows"]) for row in batches
    )
    assert metrics["train/loss"][2] == pytest.approx(weighted, rel=1e-6)


def test_tta_is_scored_at_cycle_ends_only(recorded: Path) -> None:
    scored = pd.read_csv(recorded / "metrics.csv")["val/acc_tta"].notna()
    assert list(scored) == [False, True, True, False, True, True]


def test_a_snapshot_is_kept_at_each_cycle_end(recorded: Path) -> None:
    names = sorted(path.stem for path in (recorded / "snapshots").glob("*-*.ckpt"))
    assert names == ["large-0", "start-0", "tune-0", "tune-1"]


def test_the_last_snapshot_holds_the_final_weights(recorded: Path) -> None:
    final = torch.load(recorded / "snapshots/final.ckpt", weights_only=True)["state_dict"]
    last = torch.load(recorded / "snapshots/large-0.ckpt", weights_only=True)["state_dict"]
    assert final.keys() == last.keys()
    assert all(torch.equal(final[name], last[name]) for name in final)


def test_the_average_is_the_mean_of_the_last_three_snapshots(recorded: Path) -> None:
    def weight(name: str) -> torch.Tensor:
        content = torch.load(recorded / f"snapshots/{name}.ckpt", weights_only=True)
        return content["state_dict"]["head.1.weight"]

    mean = torch.stack([weight(name) for name in ("tune-0", "tune-1", "large-0")]).mean(0)
    torch.testing.assert_close(weight("average"), mean)


def test_the_best_candidate_is_at_least_as_good_as_all_the_others(recorded: Path) -> None:
    listed = json.loads((recorded / "snapshots/candidates.json").read_text())
    accuracies = {name: each["accuracy"] for name, each in listed["candidates"].items()}
    assert {"final", "average", "ensemble", "tune-0"} <= accuracies.keys()
    assert accuracies[listed["best"]] == max(accuracies.values())


def test_the_summary_agrees_with_the_predictions_of_the_reported_model(recorded: Path) -> None:
    summary = json.loads((recorded / "summary.json").read_text())
    predictions = pd.read_csv(recorded / "predictions/valid.csv")
    assert summary["model/acc"] == pytest.approx((predictions.label == predictions.prediction).mean())
    assert summary["num_valid"] == len(predictions)


def test_every_file_of_tensors_opens_without_running_code(recorded: Path) -> None:
    files = [*(recorded / "checkpoints").glob("*.ckpt"), *(recorded / "snapshots").glob("*.ckpt")]
    assert len(files) >= 7
    for file in files:
        assert torch.load(file, weights_only=True)["classes"] == ["blue", "green", "red"]


def test_training_on_features_equals_training_with_the_frozen_body(train: Train) -> None:
    phase = {"n_cycles": 2, "lr": 1e-2, "unfreeze_to": "head", "augment": False}
    cached = train(*phases(one={**phase, "precompute": True}), name="cached")
    frozen = train(*phases(one=phase), name="frozen")
    one, other = (
        torch.load(run / "snapshots/final.ckpt", weights_only=True)["state_dict"] for run in (cached, frozen)
    )
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=1e-5)


def test_a_search_leaves_no_trace_and_finds_the_same_curve_again(train: Train, recorded: Path) -> None:
    searched = train(
        *THREE_PHASES, "+callbacks.search={_target_: probes.IdleSearch}", RECORDER, name="searched"
    )
    searches = json.loads((searched / "searches.json").read_text())
    assert len(searches) == 3
    for search in searches:
        assert search["before"] == search["after"]
        assert search["curves"][0] == search["curves"][1]
    assert lines(searched, "batch") == lines(recorded, "batch")
    assert lines(searched, "epoch") == lines(recorded, "epoch")


def test_auto_trains_with_the_rate_that_the_search_wrote_down(train: Train) -> None:
    phase = {"lr": "auto", "lr_ratio": 10.0, "unfreeze_to": 0, "shape": "constant"}
    run_dir = train(*phases(one=phase), RECORDER, "callbacks.lr_finder.fallback=0.0123")
    found = json.loads((run_dir / "lr_find/one.json").read_text())
    expected = found["suggestion"] or 0.0123
    rates = lines(run_dir, "batch")[0]["lrs"]
    assert rates["head"] == pytest.approx(expected)
    assert rates["body0"] == pytest.approx(expected / 100)
    assert (run_dir / "lr_find/one.png").stat().st_size > 1000


def test_a_run_without_validation_has_no_val_column_and_ends_well(train: Train) -> None:
    run_dir = train("data.valid_pct=0", *THREE_PHASES, name="all")
    columns = pd.read_csv(run_dir / "metrics.csv").columns
    assert not [name for name in columns if name.startswith("val/")]
    assert json.loads((run_dir / "summary.json").read_text())["num_valid"] == 0


def test_two_runs_of_one_seed_are_the_same_run(train: Train, recorded: Path) -> None:
    assert lines(train(*THREE_PHASES, RECORDER), "epoch") == lines(recorded, "epoch")


@pytest.mark.long
def test_another_seed_is_another_run(train: Train, recorded: Path) -> None:
    other = train(*THREE_PHASES, RECORDER, "seed=1")
    assert lines(recorded, "epoch")[-1]["parameters"] != lines(other, "epoch")[-1]["parameters"]


def test_the_schedule_counts_the_epochs_of_the_run(recorded: Path) -> None:
    from imageclf.configs import load_config

    schedule = Schedule.from_plain(load_config(recorded / "config.yaml")["schedule"]["phases"])
    assert schedule.epochs == len(pd.read_csv(recorded / "metrics.csv")) == 6


@pytest.mark.parametrize("limit", ["+trainer.limit_val_batches=1", "+trainer.fast_dev_run=true"])
def test_a_limit_on_validation_holds_for_tta_and_snapshots_too(train: Train, limit: str) -> None:
    run_dir = train(*THREE_PHASES, "data.batch_size=4", limit)
    assert len(pd.read_csv(run_dir / "predictions/valid.csv")) == 4
    summary = json.loads((run_dir / "summary.json").read_text())
    # One epoch of a fast_dev_run ends no cycle here, so there is no snapshot to average.
    assert {"val/acc", "val/acc_tta", "val/acc_best"} <= summary.keys()


def test_tta_without_augmented_views_is_plain_validation(train: Train) -> None:
    run_dir = train(*THREE_PHASES, "callbacks.tta.num_augmented=0")
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["val/acc_tta"] == summary["val/acc"]
    assert summary["val/loss_tta"] == summary["val/loss"]


def test_the_training_loss_is_that_of_the_pictures_however_many_batches_a_step_takes(train: Train) -> None:
    # A rate too small to move any weight: the steps see the same network.
    still = phases(still={"lr": 1e-30, "unfreeze_to": "head", "augment": False, "bn": "eval"})
    same = [*still, "model.optimizer.weight_decay=0", "model.head.dropout=0"]
    runs = [train(*same, f"trainer.accumulate_grad_batches={n}", name=str(n)) for n in (1, 2, 3)]
    losses = [pd.read_csv(run / "metrics.csv")["train/loss"].item() for run in runs]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
