"""The lesson's experiments, each on drawn pictures in the layout that its file describes."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = pytest.mark.long

SMALL = [
    "model.backbone=test_resnet",
    "model.weights=none",
    "trainer=cpu",
    "data.size=32",
    "data.batch_size=32",
    "data.num_workers=0",
    "schedule.phases.head.cycle_len=1",
    "schedule.phases.augment.n_cycles=1",
    "schedule.phases.finetune.n_cycles=1",
    "schedule.phases.bigger.n_cycles=1",
    "schedule.phases.bigger.size=48",
    "callbacks.lr_finder.num_steps=4",
    "callbacks.tta.num_augmented=1",
]
NAMES = [
    f"{first}_{second}"
    for first, second in product(["afghan", "boston", "gordon", "irish"], "abcdefghijklmnopqrstuvwxyzäöü")
]
BREEDS = sorted(
    [
        *(f"{name}_terrier" for name in NAMES),
        "affenpinscher",
        "black-and-tan_coonhound",
        "cairn",
        "soft-coated_wheaten_terrier",
    ]
)
EXPERIMENTS = ["dogs_vs_cats", "dogs_vs_cats_resnext50", "dog_breeds", "planet", "pawpularity", "chest_xray"]
WEATHER = ["clear", "cloudy", "haze"]
GROUND = ["agriculture", "primary", "road", "water"]


def draw(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(shade).integers(0, 60, (36, 40, 3), dtype=np.uint8)
    noise[..., shade % 3] += np.uint8(shade)
    Image.fromarray(noise).save(path)


@pytest.fixture(scope="module")
def dogs_vs_cats(tmp_path_factory) -> Path:
    """Draw DIR/{train,valid}/{cats,dogs}, and pictures to predict."""
    root = tmp_path_factory.mktemp("dogs_vs_cats")
    for split, count in (("train", 20), ("valid", 6)):
        for shade, name in ((0, "cats"), (150, "dogs")):
            for number in range(count):
                draw(root / split / name / f"{name[:-1]}.{number}.jpg", shade)
    for number in range(1, 6):
        draw(root / "test1" / f"{number}.jpg", 150)
    return root


@pytest.fixture(scope="module")
def dog_breeds(tmp_path_factory) -> Path:
    """Draw labels.csv, train/ID.jpg and test/ID.jpg: 120 breeds, five pictures of each."""
    root = tmp_path_factory.mktemp("dog_breeds")
    rows = ["id,breed"]
    for index, breed in enumerate(5 * BREEDS):
        rows.append(f"{index:032x},{breed}")
        draw(root / "train" / f"{index:032x}.jpg", BREEDS.index(breed))
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for index in range(7):
        draw(root / "test" / f"{index + 10**6:032x}.jpg", index)
    return root


@pytest.fixture(scope="module")
def planet(tmp_path_factory) -> Path:
    """Draw train_v2.csv, train-jpg/train_N.jpg and test-jpg/test_N.jpg: a weather, and kinds of ground."""
    root = tmp_path_factory.mktemp("planet")
    generator = np.random.default_rng(0)
    rows = ["image_name,tags"]
    for number in range(40):
        ground = [name for name in GROUND if generator.random() < 0.5]
        rows.append(f"train_{number},{' '.join([WEATHER[number % 3], *ground])}")
        draw(root / "train-jpg" / f"train_{number}.jpg", number)
    (root / "train_v2.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for number in range(5):
        draw(root / "test-jpg" / f"test_{number}.jpg", number)
    return root


@pytest.fixture(scope="module")
def pawpularity(tmp_path_factory) -> Path:
    """Draw train.csv, train/ID.jpg and test/ID.jpg: brighter photos are more popular."""
    root = tmp_path_factory.mktemp("pawpularity")
    rows = ["Id,Subject Focus,Eyes,Pawpularity"]
    for number in range(30):
        rows.append(f"{number:032x},0,1,{1 + 3 * number}")
        draw(root / "train" / f"{number:032x}.jpg", 6 * number)
    (root / "train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for number in range(3):
        draw(root / "test" / f"{number + 10**6:032x}.jpg", number)
    return root


@pytest.fixture(scope="module")
def chest_xray(tmp_path_factory) -> Path:
    """Draw DIR/{train,val,test}/{NORMAL,PNEUMONIA}: grey JPEGs, of which some are stored as RGB."""
    root = tmp_path_factory.mktemp("chest_xray")
    for split, count in (("train", 20), ("val", 2), ("test", 3)):
        for shade, name in ((0, "NORMAL"), (150, "PNEUMONIA")):
            for number in range(count):
                path = root / split / name / f"person{number}_virus_{number}.jpeg"
                draw(path, shade)
                Image.open(path).convert("L").convert("RGB" if number % 5 == 0 else "L").save(path)
    return root


@pytest.fixture(scope="module")
def runs(
    dogs_vs_cats, dog_breeds, planet, pawpularity, chest_xray, tmp_path_factory, warm_start
) -> dict[str, Path]:
    """Train each experiment in a process of its own; return the run directories."""
    folder = tmp_path_factory.mktemp("cwd")
    roots = {"dogs_vs_cats": dogs_vs_cats, "dogs_vs_cats_resnext50": dogs_vs_cats, "dog_breeds": dog_breeds}
    roots |= {"planet": planet, "pawpularity": pawpularity, "chest_xray": chest_xray}
    more = {"dogs_vs_cats": ["data.test=test1", "analysis.submission=labels"]}
    found = {}
    for name in EXPERIMENTS:
        arguments = [f"experiment={name}", f"data.root={roots[name]}", *SMALL, *more.get(name, [])]
        done = warm_start.command("train", folder, *arguments)
        assert done.returncode == 0, done.stderr
        found[name] = folder / done.stdout.splitlines()[-1]
    return found


@pytest.fixture(scope="module")
def submissions(runs) -> dict[str, pd.DataFrame]:
    return {
        name: pd.read_csv(runs[name] / "submission.csv") for name in ("dogs_vs_cats", "dog_breeds", "planet")
    }


def test_there_are_as_many_breeds_as_in_the_competition():
    assert len(set(BREEDS)) == 120


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_goes_through_the_lessons_phases(runs, name):
    phases = list(dict.fromkeys(pd.read_csv(runs[name] / "metrics.csv")["phase"]))
    assert phases == ["head", "augment", "finetune", "bigger"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_filed_under_its_name(runs, name):
    assert runs[name].parent.name == name
    assert json.loads((runs[name] / "summary.json").read_text())["experiment"] == name


@pytest.mark.parametrize(
    ("name", "train", "valid", "test"),
    [
        ("dogs_vs_cats", 40, 12, 5),
        ("dogs_vs_cats_resnext50", 40, 12, 0),
        ("dog_breeds", 480, 120, 7),
        ("planet", 32, 8, 5),
        ("pawpularity", 24, 6, 3),
        ("chest_xray", 32, 8, 6),
    ],
)
def test_an_experiment_finds_its_pictures(runs, name, train, valid, test):
    summary = json.loads((runs[name] / "summary.json").read_text())
    assert [summary[f"num_{split}"] for split in ("train", "valid", "test")] == [train, valid, test]


def test_the_breeds_are_the_classes_in_alphabetical_order(runs):
    assert json.loads((runs["dog_breeds"] / "summary.json").read_text())["classes"] == BREEDS


def test_the_validation_set_has_a_picture_of_each_breed(runs):
    split = pd.read_csv(runs["dog_breeds"] / "split.csv", keep_default_na=False)
    assert split.loc[split["split"] == "valid", "label"].nunique() == 120


def test_the_breeds_submission_has_a_column_per_breed(submissions):
    assert list(submissions["dog_breeds"].columns) == ["id", *BREEDS]


def test_the_breeds_submission_has_a_row_per_test_picture(submissions, dog_breeds):
    assert sorted(submissions["dog_breeds"]["id"]) == sorted(
        path.stem for path in (dog_breeds / "test").iterdir()
    )


def test_the_breeds_probabilities_sum_to_one(submissions):
    assert submissions["dog_breeds"][BREEDS].sum(axis=1).to_numpy() == pytest.approx(np.ones(7), abs=1e-6)


def test_the_cats_and_dogs_submission_is_an_id_and_a_label(submissions):
    assert list(submissions["dogs_vs_cats"].columns) == ["id", "label"]


def test_the_cats_and_dogs_submission_has_a_row_per_test_picture(submissions):
    assert list(submissions["dogs_vs_cats"]["id"]) == [1, 2, 3, 4, 5]
    assert set(submissions["dogs_vs_cats"]["label"]) <= {"cats", "dogs"}


def test_the_planet_submission_has_labels_with_spaces_between_them(submissions):
    labels = submissions["planet"].fillna("")["label"].str.split()
    assert len(labels) == 5
    assert {name for names in labels for name in names} <= {*WEATHER, *GROUND}


def test_planet_scores_f2(runs):
    assert 0 <= json.loads((runs["planet"] / "summary.json").read_text())["val/f2"] <= 1


def test_the_pawpularity_submission_has_a_number_of_each_photo(runs):
    submission = pd.read_csv(runs["pawpularity"] / "submission.csv")
    assert list(submission.columns) == ["id", "Pawpularity"]
    assert np.isfinite(submission["Pawpularity"]).sum() == 3
    assert json.loads((runs["pawpularity"] / "summary.json").read_text())["model/rmse"] > 0


def test_the_xrays_are_trained_and_tested_in_one_channel(runs):
    assert json.loads((runs["chest_xray"] / "pixels.json").read_text())["channels"] == 1
    assert 0 <= json.loads((runs["chest_xray"] / "summary.json").read_text())["test/acc"] <= 1


def test_without_test_pictures_there_is_no_submission(runs):
    assert not (runs["dogs_vs_cats_resnext50"] / "submission.csv").exists()
