"""Which weights a run offers for prediction."""

import json
from pathlib import Path

import pytest
import torch

from imageclf import InputError
from imageclf.analysis.crossfit import clear_best, most_accurate
from imageclf.evaluation.candidates import candidate_files, chosen, crossfitted_choice, validated
from imageclf.model.predictions import Predictions

FILES = {
    "final": ["final.ckpt"],
    "head-0": ["head-0.ckpt"],
    "finetune-0": ["finetune-0.ckpt"],
    "average": ["average.ckpt"],
    "average_bn": ["average_bn.ckpt"],
    "soup": ["soup.ckpt"],
    "ensemble": ["head-0.ckpt", "finetune-0.ckpt"],
}


@pytest.fixture
def run_dir(tmp_path) -> Path:
    """Return a run that was compared on validation."""
    (tmp_path / "snapshots").mkdir()
    for file in {file for files in FILES.values() for file in files}:
        (tmp_path / "snapshots" / file).touch()
    rows = {name: {"files": files, "accuracy": 0.5, "loss": 1.0} for name, files in FILES.items()}
    listed = {"best": "ensemble", "candidates": rows}
    (tmp_path / "snapshots" / "candidates.json").write_text(json.dumps(listed))
    return tmp_path


@pytest.fixture
def unvalidated(tmp_path) -> Path:
    """Return a run that trained on everything."""
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "final.ckpt").touch()
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_a_candidate_is_a_list_of_files(run_dir, name):
    assert candidate_files(run_dir, name) == [run_dir / "snapshots" / file for file in FILES[name]]


def test_in_a_run_of_an_earlier_version_the_best_is_what_validation_chose(run_dir):
    assert candidate_files(run_dir, "best") == candidate_files(run_dir, "ensemble")


@pytest.mark.parametrize("name", ["", "last", "head-1", "Final", "final.ckpt"])
def test_another_name_is_refused_with_those_there_are(run_dir, name):
    with pytest.raises(InputError) as refused:
        candidate_files(run_dir, name)
    offered = "best, final, head-0, finetune-0, average, average_bn, soup, ensemble"
    assert str(refused.value) == f"weights={name}: {run_dir} offers {offered}"


@pytest.mark.parametrize("name", ["best", "final"])
def test_without_validation_the_final_weights_are_all_there_is(unvalidated, name):
    assert candidate_files(unvalidated, name) == [unvalidated / "snapshots" / "final.ckpt"]


def test_a_candidate_whose_file_is_gone_is_refused(run_dir):
    (run_dir / "snapshots" / "soup.ckpt").unlink()
    with pytest.raises(InputError, match=r"soup\.ckpt cannot be read"):
        candidate_files(run_dir, "soup")


def test_a_directory_without_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match="weights=final"):
        candidate_files(tmp_path, "final")


def test_a_real_run_offers_its_cycles_their_average_and_their_ensemble(finished_run):
    listed = json.loads((finished_run / "snapshots" / "candidates.json").read_text())
    expected = ["final", "head-0", "finetune-0", "average", "soup", "ensemble"]
    assert list(listed["candidates"]) == expected


def test_every_file_that_a_real_run_offers_is_there(finished_run):
    listed = json.loads((finished_run / "snapshots" / "candidates.json").read_text())
    files = [path for name in listed["candidates"] for path in candidate_files(finished_run, name)]
    assert len(files) == 7
    assert all(path.is_file() for path in files)


def test_the_best_is_the_candidate_that_the_run_reports(run_dir):
    path = run_dir / "snapshots" / "candidates.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"reported": "final"}))
    assert candidate_files(run_dir, "best") == candidate_files(run_dir, "final")


def test_the_halves_choose_among_what_a_soup_tried_and_not_the_soup_that_all_of_them_chose():
    labels = torch.zeros(20, dtype=torch.int64)
    wrong, right = torch.tensor([[0.0, 1.0]] * 20), torch.tensor([[1.0, 0.0]] * 20)
    worse, better = (
        validated(["one"], ["one"], Predictions(torch.arange(20), labels, each)) for each in (wrong, right)
    )
    found = [{"one": worse, "soup": better._replace(choices=tried)} for tried in ([], better.choices)]
    assert [crossfitted_choice(each, 0, most_accurate)[0] for each in found] == [0, 1]


def test_the_final_weights_are_chosen_unless_another_candidate_is_clearly_better():
    labels = torch.zeros(20, dtype=torch.int64)

    def right(number: int):
        """Return the candidate that has so many of the pictures right."""
        probabilities = torch.tensor([[0.9, 0.1]] * number + [[0.1, 0.9]] * (20 - number))
        return validated(["one"], ["one"], Predictions(torch.arange(20), labels, probabilities))

    by_little = {"final": right(10), "head-0": right(9), "soup": right(12)}
    clearly = by_little | {"ensemble": right(17)}
    assert [chosen(each, most_accurate) for each in (by_little, clearly)] == ["soup", "ensemble"]
    assert [chosen(each, clear_best) for each in (by_little, clearly)] == ["final", "ensemble"]
