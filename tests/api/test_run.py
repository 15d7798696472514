"""A run directory, opened in Python: what it says of itself, and what it refuses."""

import os
import pickle
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

import imageclf
from imageclf import InputError, Run
from imageclf.system.files import write_json

HOSTILE = "<script>alert(1)</script>\x1b[31m"


@pytest.fixture
def run(finished_run) -> Run:
    return imageclf.load(finished_run)


@pytest.fixture
def copied(finished_run, tmp_path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "copy"))


class Tags(HTMLParser):
    """The tags of a piece of HTML, which must be closed in their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)


def test_import_loads_neither_torch_nor_pandas():
    code = "import sys, imageclf; dir(imageclf); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "numpy", "hydra"} & set(done.stdout.split())


def test_all_names_are_offered_to_tab():
    assert set(imageclf.__all__) <= set(dir(imageclf))


def test_a_name_that_there_is_not_is_no_attribute():
    with pytest.raises(AttributeError, match="module 'imageclf' has no attribute 'lod'"):
        _ = imageclf.lod


def test_it_knows_its_classes_and_scores(run, finished_run):
    assert run.dir == finished_run
    assert run.classes == ("blue", "green", "red")
    assert 0 <= run.summary["model/acc"] <= 1


def test_it_says_what_it_is_in_a_line(run, finished_run):
    assert repr(run).startswith(f"<Run {finished_run}: accuracy ")
    assert repr(imageclf.load(finished_run, "final")).startswith(f"<Run {finished_run}, weights='final': ")


def test_the_report_is_a_path_and_a_frame_in_a_notebook(run, finished_run):
    assert os.fspath(run.report) == str(finished_run / "report.html")
    shown = run.report._repr_html_()
    assert Tags(shown).seen == ["iframe"]
    assert "&lt;!doctype html&gt;" in shown.lower()


def test_a_run_without_a_report_says_so(copied):
    (copied / "report.html").unlink()
    with pytest.raises(InputError, match=r"has no report\.html: the run was trained without"):
        _ = imageclf.load(copied).report


def test_the_validation_pictures_come_with_their_true_classes(run, finished_run):
    written = pd.read_csv(finished_run / "predictions/valid.csv")
    assert run.validation.truth == written["label"].tolist()
    assert run.validation.labels == written["prediction"].tolist()


def test_most_wrong_are_mistakes_the_most_confident_first(run):
    table = run.validation.to_pandas()
    wrong = table[table["label"] != table["prediction"]]
    expected = wrong[["blue", "green", "red"]].max(axis=1).sort_values(ascending=False, kind="stable")
    assert len(expected) > 1
    found = run.most_wrong(2)
    assert found.ids == wrong.loc[expected.index[:2], "id"].tolist()
    assert all(truth != label for truth, label in zip(found.truth, found.labels, strict=True))


def test_validation_predictions_of_other_weights_were_not_kept(finished_run):
    summary = imageclf.load(finished_run).summary
    other = "final" if summary["model"] != "final" else "average"
    with pytest.raises(InputError, match=f"weights={other}: .* load it with weights='best'"):
        _ = imageclf.load(finished_run, other).validation


def test_a_prediction_says_what_it_is_in_a_line(run, dataset):
    said = repr(run.predict(dataset / "valid/red/0.png"))
    assert said in {f"<Prediction: 1 picture: 1 {name}>" for name in run.classes}


def test_a_notebook_shows_the_pictures_of_a_prediction(run, dataset):
    predicted = run.predict(dataset / "valid")
    shown = Tags(predicted._repr_html_()).seen
    assert len(predicted) == 12 and shown.count("img") == 12


def test_a_notebook_shows_pictures_in_memory_too_and_only_the_first(run):
    pictures = np.random.default_rng(0).integers(0, 255, (15, 40, 50, 3), dtype=np.uint8)
    shown = run.predict(pictures)._repr_html_()
    assert Tags(shown).seen.count("img") == 12
    assert "and 3 more pictures" in shown


def test_a_hostile_name_is_neither_obeyed_nor_run(run, dataset, tmp_path):
    shutil.copy(dataset / "valid/red/0.png", tmp_path / f"{HOSTILE.replace('/', '')}.png")
    predicted = run.predict(tmp_path)
    assert "script" not in Tags(predicted._repr_html_()).seen
    assert "\x1b" not in repr(predicted)


def test_a_hostile_summary_is_neither_obeyed_nor_run(copied):
    write_json(copied / "summary.json", {**imageclf.load(copied).summary, "model": HOSTILE})
    run = imageclf.load(copied)
    assert "script" not in Tags(run._repr_html_()).seen
    assert "\x1b" not in repr(run)


def test_the_transform_can_be_sent_to_other_processes(run, dataset):
    path = dataset / "valid/red/0.png"
    assert (pickle.loads(pickle.dumps(run.transform))(path) == run.transform(path)).all()


def test_code_that_a_run_directory_names_is_refused_unless_it_is_trusted(copied):
    config = OmegaConf.load(copied / "config.yaml")
    config.model.head = {"_target_": "probes.Head"}
    OmegaConf.save(config, copied / "config.yaml")
    with pytest.raises(InputError, match=r"model\.head\._target_=probes\.Head .* give trust=\[probes\]"):
        imageclf.load(copied)
    assert imageclf.load(copied, trust="probes").classes == ("blue", "green", "red")


@pytest.mark.parametrize("weights", ["finest", "head-9"])
def test_weights_that_there_are_not_are_refused(finished_run, weights):
    with pytest.raises(InputError, match=f"weights={weights}: .* offers best, "):
        imageclf.load(finished_run, weights)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "there is no such folder"),
        (("notes.txt",), "a finished run holds a summary.json"),
        (
            ("config.yaml",),
            r"this one is not finished; go on with: imageclf-train hydra\.run\.dir=.*/place ckpt",
        ),
        (("10/summary.json", "9/summary.json"), "the folder holds 2 finished runs, such as .*/place/9$"),
    ],
)
def test_a_place_without_a_finished_run_is_refused_with_what_is_there(tmp_path, files, said):
    for name in files:
        (tmp_path / "place" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "place" / name).touch()
    with pytest.raises(InputError, match=f"no finished run is there; .*{said}"):
        imageclf.load(tmp_path / "place")
