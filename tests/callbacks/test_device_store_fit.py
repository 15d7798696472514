"""Whole runs on pictures that lie on the device, here the CPU."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from predicting import predict_options
from resume_cases import Case, Setting
from resume_runs import Runs, differences, go, step_differences, steps
from small_runs import THREE_PHASES, composed, train_small

from imageclf import InputError
from imageclf.commands.predict import predict_pictures
from imageclf.configs import to_plain
from imageclf.training.run_config import RunConfig, parse

ON = "data.device_store=on"
SETTING = Setting(1, 1, precompute=True, sizes="progressive", features=True)
PLACES = ["mid-epoch", "during validation", "size change", "cycle restart", "during save"]
# One of them is for `make test`.
POINTS = [PLACES[0], *[pytest.param(place, marks=pytest.mark.long) for place in PLACES[1:]]]


def check_resumed(runs: Runs, case: Case) -> None:
    """Stop a run, let it go on, and compare it with one that nothing happened to."""
    reference = runs.undisturbed(case.setting, ON)
    run_dir = runs.stopped(case, ON)
    ranks = range(case.setting.ranks)
    before = [len(steps(run_dir, rank)) for rank in ranks]
    go(run_dir, case.setting.ranks)
    wrong = [text for rank in ranks for text in step_differences(run_dir, reference, before[rank], rank)]
    assert wrong + differences(run_dir, reference) == []


@pytest.mark.parametrize("point", POINTS)
def test_a_run_on_the_device_goes_on_bit_for_bit(runs: Runs, point: str) -> None:
    check_resumed(runs, Case(point, 0, SETTING))


@pytest.mark.long
def test_two_ranks_with_pictures_of_their_own_go_on_bit_for_bit(runs: Runs) -> None:
    check_resumed(runs, Case("mid-epoch", 2, Setting(2, 1, True, "progressive"), kill=True))


def test_a_run_on_the_device_scores_as_one_on_the_cpus_path(runs: Runs) -> None:
    there, here = runs.undisturbed(SETTING, ON), runs.undisturbed(SETTING)
    one, other = (pd.read_csv(run_dir / "metrics.csv") for run_dir in (there, here))
    assert one["val/loss"].tolist() == pytest.approx(other["val/loss"].tolist(), rel=1e-3)
    assert one["train/loss"].tolist() == pytest.approx(other["train/loss"].tolist(), rel=1e-3)
    # And it is another path: pixels differ where views are resampled.
    seen = [[row["seen"] for row in steps(run_dir, 0)] for run_dir in (there, here)]
    assert seen[0] != seen[1]


def test_a_run_starts_no_worker_and_says_where_its_pictures_are(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imageclf.data.loader import RequestLoader

    monkeypatch.setattr(RequestLoader, "read", None)
    caplog.set_level(logging.INFO, "imageclf")
    run_dir = train_small(tmp_path, pictures, *THREE_PHASES, ON, "data.num_workers=2")
    assert 0 <= json.loads((run_dir / "summary.json").read_text())["val/acc"] <= 1
    loaded = [text for text in caplog.messages if text.startswith("data.device_store: ")]
    assert [text.partition(" for ")[2] for text in loaded] == ["32 px on cpu", "48 px on cpu"]


def test_a_run_on_the_device_can_be_predicted_with(runs: Runs, seven_pictures: Path, tmp_path: Path) -> None:
    run_dir = runs.undisturbed(SETTING, ON)
    given = {"weights": "final", "tta": "fastai07", "output": f"{tmp_path}/blue.csv", "batch_size": 4}
    predicted = predict_pictures(
        predict_options(run=str(run_dir), data=str(seven_pictures / "blue"), **given)
    )
    assert len(predicted.table) == 7


def test_the_learning_rate_of_a_phase_is_searched_on_the_device(
    command: Any, tiny: list[str], tmp_path: Path
) -> None:
    typed = [*tiny, "phase=finetune", "callbacks.lr_finder.num_steps=4", f"hydra.run.dir={tmp_path}/run", ON]
    outcome = command("lr_find", *typed)
    assert outcome.code == 0, outcome.err
    assert "of pictures for 32 px on cpu" in outcome.out
    assert (tmp_path / "run/lr_find/finetune.csv").exists()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.cache=none", "no shrunk pictures are kept: set data.cache=raw"),
        ("data.cache=jpeg", "the shrunk pictures are kept as JPEGs: set data.cache=raw"),
        ("transforms=rand_augment", "transforms.extra changes views on the CPU: set transforms.extra=null"),
    ],
)
def test_what_rules_it_out_is_said_before_any_picture_is_read(
    composed_with: Any, override: str, sentence: str
) -> None:
    with pytest.raises(InputError) as refused:
        parse(composed_with(ON, override), RunConfig)
    assert str(refused.value) == f"{ON}: {sentence}, or set data.device_store=auto"


@pytest.mark.parametrize("override", ["data.cache=none", "data.cache=jpeg", "transforms=rand_augment"])
def test_auto_goes_with_everything(composed_with: Any, override: str) -> None:
    assert parse(composed_with(override), RunConfig).data.loading.device_store == "auto"


@pytest.fixture
def composed_with(tmp_path: Path) -> Any:
    """Return a function that composes a config as plain values."""

    def plain(*overrides: str) -> dict[str, Any]:
        return to_plain(composed(["data=folder", f"data.root={tmp_path}", *overrides], tmp_path))

    return plain
