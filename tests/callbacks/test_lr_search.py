"""The learning-rate finder inside real fits: what it counts, and what it treats as training does."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from small_runs import phases

from imageclf import InputError

Train = Callable[..., Path]

# 29 training pictures in batches of 5: five whole ones and one of 4.
ONE_PHASE = phases(fit={"lr": "auto", "unfreeze_to": 0, "augment": False})
WHOLE_EPOCH = [*ONE_PHASE, "callbacks.lr_finder.num_steps=null", "callbacks.lr_finder.lr_max=1e-4"]
CALM = [*ONE_PHASE, "callbacks.lr_finder.lr_max=1e-4"]


def curve(run_dir: Path) -> pd.DataFrame:
    return pd.read_csv(run_dir / "lr_find/fit.csv")


def found(run_dir: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((run_dir / "lr_find/fit.json").read_text())
    return content


def test_without_a_number_a_search_takes_one_epoch(train: Train) -> None:
    assert len(curve(train(*WHOLE_EPOCH))) == 6


def test_with_accumulation_an_epoch_has_as_many_steps_as_training_takes(train: Train) -> None:
    assert len(curve(train(*WHOLE_EPOCH, "trainer.accumulate_grad_batches=2"))) == 3


def test_a_search_longer_than_the_data_goes_through_it_again(train: Train) -> None:
    assert len(curve(train(*CALM, "callbacks.lr_finder.num_steps=20"))) == 20


def test_a_data_set_of_one_batch_is_searched(train: Train) -> None:
    run = train(*CALM, "data.batch_size=64", "callbacks.lr_finder.num_steps=12")
    assert len(curve(run)) == 12


def test_an_accumulated_loss_is_the_mean_of_its_batches(train: Train) -> None:
    # Rates too small to move a weight, no dropout: the losses are those of the batches.
    still = ["callbacks.lr_finder.lr_min=1e-12", "callbacks.lr_finder.lr_max=1e-11", "model.head.dropout=0"]
    eval_norms = phases(fit={"lr": "auto", "unfreeze_to": 0, "augment": False, "bn": "eval"})
    steps = "callbacks.lr_finder.num_steps={}".format
    alone = curve(train(*eval_norms, *still, steps(4), name="alone"))["loss"]
    pairs = train(*eval_norms, *still, steps(2), "trainer.accumulate_grad_batches=2", name="pairs")
    expected = [(alone[0] + alone[1]) / 2, (alone[2] + alone[3]) / 2]
    assert curve(pairs)["loss"].tolist() == pytest.approx(expected, abs=1e-4)


def test_gradients_are_clipped_as_in_training(train: Train) -> None:
    # SGD moves by the gradient, so that one clipped to nothing leaves a flat curve.
    sgd = ["model.optimizer._target_=torch.optim.SGD", "model.optimizer.weight_decay=0"]
    steep = [*ONE_PHASE, *sgd, "callbacks.lr_finder.lr_max=10", "callbacks.lr_finder.num_steps=12"]
    free = train(*steep, name="free")
    clipped = train(*steep, "+trainer.gradient_clip_val=1e-9", name="clipped")
    spread = [curve(run)["smoothed"].max() - curve(run)["smoothed"].min() for run in (free, clipped)]
    assert spread[1] < 0.5 * spread[0]


def test_a_search_in_half_precision_has_finite_losses(train: Train) -> None:
    run = train(*CALM, "trainer.precision=bf16-mixed")
    assert curve(run)["loss"].notna().all()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("preset", ["fastai07", "fastai2"])
def test_the_presets_search_as_their_versions_of_fastai(train: Train, preset: str) -> None:
    run = train(*ONE_PHASE, f"callbacks/lr_finder={preset}", "callbacks.lr_finder.num_steps=8")
    start = {"fastai07": 1e-5, "fastai2": 1e-7}[preset]
    assert curve(run)["lr"][0] == pytest.approx(start)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("method", ["valley", "steepest", "minimum"])
def test_the_json_names_the_method(train: Train, method: str) -> None:
    assert found(train(*CALM, f"callbacks.lr_finder.method={method}"))["method"] == method


def test_slide_is_refused_where_it_would_suggest_far_too_low_rates(train: Train) -> None:
    with pytest.raises(InputError, match=r"method=slide with num_steps=8: .*callbacks/lr_finder=fastai2"):
        train(*ONE_PHASE, "callbacks.lr_finder.method=slide")
