"""Real runs on some of the demo's classes, and one that goes on from another with other classes."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_runs import phases, train_small

from imageclf import InputError
from imageclf.data import make_table
from imageclf.model.weights.files import read_saved
from imageclf.training.parts.module import build_module
from imageclf.training.run_config import data_options

STAMPS = Path(__file__).parents[2] / "data" / "stamps"
CLASSES = ["plants", "birds", "vehicles"]
ONE_EPOCH = phases(finetune={"lr": 1e-3, "unfreeze_to": 0, "augment": False})
CHOICE = ["data.classes=[plants,birds,vehicles]", "data.relabel={mammals: birds}", "data.ignore=food"]


class OwnSource:
    """A source of the user's own with a key that a class list has, too."""

    def __init__(self, classes: int) -> None:
        self.classes = classes

    def read(self):
        names = [str(number % self.classes) for number in range(8)]
        return make_table({"id": list("abcdefgh"), "path": list("abcdefgh"), "label": names})


def test_a_source_of_ones_own_keeps_a_key_of_the_same_name(config):
    own = {"_target_": f"{__name__}.OwnSource", "classes": 4, "ignore": 3}
    options = data_options(config()["data"] | own)
    assert options.read().classes == ("0", "1", "2")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("classes"), STAMPS, *ONE_EPOCH, *CHOICE, "data.batch_size=16")


@pytest.fixture
def going_on(parsed, run_dir):
    """Return a function that builds the network of a run with other classes and `model.weights`."""

    def build(weights=run_dir):
        counts = {"vehicles": 2, "zebras": 2, "plants": 2}
        model = parsed("model.backbone=test_efficientnet", f"model.weights={weights}").model
        return build_module(model, counts, {32})[0]

    return build


def test_a_run_has_the_chosen_classes_in_their_order(run_dir):
    assert json.loads((run_dir / "summary.json").read_text())["classes"] == CLASSES
    columns = list(pd.read_csv(run_dir / "predictions/valid.csv"))
    assert columns == ["id", "path", "label", "prediction", *CLASSES]


def test_a_run_sees_no_picture_that_was_left_out(run_dir):
    split = pd.read_csv(run_dir / "split.csv")
    assert set(split["label"]) == set(CLASSES)
    assert set(split.loc[split["label"] == "birds", "path"].map(lambda path: Path(path).parent.name)) == {
        "birds",
        "mammals",
    }


@pytest.mark.parametrize("place", [".", "snapshots/final.ckpt", "checkpoints/last.ckpt"])
def test_another_run_goes_on_with_the_rows_of_the_classes_that_stay(place, run_dir, going_on, caplog):
    caplog.set_level("INFO")
    head = going_on(run_dir / place).model.head.state_dict()
    old = read_saved(run_dir / "snapshots/final.ckpt")["state_dict"]
    assert torch.equal(head["1.weight"][[0, 2]], old["head.1.weight"][[2, 0]])
    said = "the head keeps what it knows of 2 classes: vehicles and plants; zebras starts anew"
    assert said in caplog.text


def test_another_run_goes_on_with_the_body(run_dir, going_on):
    body = going_on().model.backbone.state_dict()
    old = read_saved(run_dir / "snapshots/final.ckpt")["state_dict"]
    assert all(torch.equal(old[f"backbone.{name}"], each) for name, each in body.items())


def test_a_folder_that_is_no_run_is_refused(going_on, tmp_path):
    with pytest.raises(InputError, match=r"model\.weights=.*: the folder is no finished run"):
        going_on(tmp_path)


def test_of_an_ensemble_a_file_is_asked_for(going_on, tmp_path):
    (tmp_path / "snapshots").mkdir()
    for name in ("a", "b"):
        (tmp_path / f"snapshots/{name}.ckpt").touch()
    listed = {"both": {"files": ["a.ckpt", "b.ckpt"]}}
    (tmp_path / "snapshots/candidates.json").write_text(
        json.dumps({"reported": "both", "candidates": listed})
    )
    with pytest.raises(
        InputError, match=r"an ensemble of 2 networks; give a file .*/snapshots/average\.ckpt"
    ):
        going_on(tmp_path)
