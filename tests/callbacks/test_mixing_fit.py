"""Mixing inside a real fit: pictures are mixed, cached features never."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from probes import lines
from small_runs import RECORDER, THREE_PHASES, phases

Train = Callable[..., Path]
ALL = [f"model.mixing.{name}" for name in ("mixup=0.4", "cutmix=1.0", "erase=0.5")]
PICTURES = phases(one={"n_cycles": 2, "lr": 1e-3, "unfreeze_to": 0, "augment": False})
FEATURES = phases(
    one={"n_cycles": 2, "lr": 1e-2, "unfreeze_to": "head", "augment": False, "precompute": True}
)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("mixing", [[each] for each in ALL] + [ALL])
def test_a_fit_with_mixing_trains(train: Train, mixing: list[str]) -> None:
    batches = lines(train(*PICTURES, RECORDER, *mixing), "batch")
    assert len(batches) == 12
    assert all(math.isfinite(row["loss"]) and row["loss"] > 0 for row in batches)


def test_mixing_changes_what_pictures_teach(train: Train) -> None:
    plain, mixed = train(*PICTURES, RECORDER, name="plain"), train(*PICTURES, RECORDER, *ALL, name="mixed")
    one, other = ([row["loss"] for row in lines(run_dir, "batch")] for run_dir in (plain, mixed))
    assert one != other


def test_cached_features_are_never_mixed(train: Train) -> None:
    plain, mixed = train(*FEATURES, RECORDER, name="plain"), train(*FEATURES, RECORDER, *ALL, name="mixed")
    assert all(row["from_features"] for row in lines(mixed, "batch"))
    for kind in ("batch", "epoch"):
        assert lines(plain, kind) == lines(mixed, kind) != []


@pytest.mark.long
def test_a_run_with_mixing_is_the_same_run_again(train: Train) -> None:
    one, other = (train(*THREE_PHASES, RECORDER, *ALL, name=name) for name in ("one", "other"))
    assert lines(one, "epoch") == lines(other, "epoch") != []


def test_validation_sees_pictures_as_they_are(train: Train) -> None:
    # A rate below what changes a weight.
    still = phases(one={"lr": 1e-30, "unfreeze_to": "head", "augment": False})
    plain, mixed = train(*still, name="plain"), train(*still, *ALL, name="mixed")
    one, other = ((run_dir / "predictions" / "valid.csv").read_text() for run_dir in (plain, mixed))
    assert one == other
