"""Where a run may lie: not inside another, not around one, not among the files of other programs."""

from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.training.location import check_location, check_sweep_location, holds_run, remove_refused_run

OURS = "data: {}\nmodel: {}\nschedule: {}\ncallbacks: {}\ntrainer: {}\n"


def make_run(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(OURS)
    return folder


@pytest.mark.parametrize("inner", ["b", "b/c", "2026-01-01_00-00-00-abcd"])
@pytest.mark.fault("Going on", "A run is started inside the directory of another", "It is refused")
def test_a_run_inside_a_run_is_refused(tmp_path, inner):
    outer = make_run(tmp_path / "runs/ants")
    with pytest.raises(InputError, match=rf"{inner} lies inside the run {outer}: choose another"):
        check_location(outer / inner)


def test_a_run_inside_a_run_is_refused_by_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(make_run(tmp_path / "a"))
    with pytest.raises(InputError, match=r"^b lies inside the run"):
        check_location(Path("b"))


@pytest.mark.parametrize("inner", ["a", "train/a"])
def test_a_folder_of_runs_is_no_run(tmp_path, inner):
    make_run(tmp_path / "runs" / inner)
    with pytest.raises(InputError, match=rf"runs holds other runs, such as {tmp_path}/runs/{inner}"):
        check_location(tmp_path / "runs")


def test_runs_beside_each_other_and_a_run_itself_are_fine(tmp_path):
    run = make_run(tmp_path / "runs/a")
    (run / ".hydra").mkdir()
    (run / ".hydra/config.yaml").write_text(OURS)
    for folder in (run, tmp_path / "runs/b", tmp_path / "runs/new/c"):
        check_location(folder)
        check_sweep_location(tmp_path / "runs/new")


def test_a_run_may_follow_its_plan_in_the_same_folder(tmp_path):
    for name in ("plan.log", "plan.csv", "plan.png"):
        (tmp_path / name).touch()
    check_location(tmp_path)


@pytest.mark.parametrize("inner", ["", "sweep", "sweep/deeper"])
def test_a_sweep_in_a_run_is_refused(tmp_path, inner):
    outer = make_run(tmp_path / "runs/a")
    with pytest.raises(InputError, match=rf"lies in the run {outer}: choose another hydra\.sweep\.dir"):
        check_sweep_location(outer / inner)


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "metrics.csv",
        "checkpoints/model.pt",
        "report.html",
        "plan.csv",
        "predictions/valid.csv",
    ],
)
@pytest.mark.fault(
    "Going on",
    "A folder holds another program's `metrics.csv` or `config.yaml`",
    "It is not taken for a run, and nothing is overwritten",
)
def test_files_of_other_programs_are_no_run_and_are_not_overwritten(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("site_name: pages\n")
    assert not holds_run(tmp_path)
    with pytest.raises(InputError, match=rf"holds {name.split('/')[0]}, but no run of imageclf"):
        check_location(tmp_path)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(InputError, match=r"metrics\.csv is a folder"):
        check_location(tmp_path)


def test_a_folder_with_other_files_may_become_a_run(tmp_path):
    (tmp_path / "notes.txt").touch()
    check_location(tmp_path)


def test_a_refused_run_leaves_nothing_of_hydras_and_everything_else(tmp_path):
    outer = make_run(tmp_path / "a")
    (outer / "b/c/.hydra").mkdir(parents=True)
    (outer / "b/c/train.log").touch()
    remove_refused_run(outer / "b/c")
    assert [path.name for path in outer.iterdir()] == ["config.yaml"]
    remove_refused_run(outer)
    assert outer.is_dir()


@pytest.mark.parametrize("place", ["hydra.run.dir=runs/a/b", "task_name=a"])
def test_the_command_refuses_a_run_inside_a_run_and_leaves_no_trace(
    command, tiny, tmp_path, monkeypatch, place
):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "runs/a")
    outcome = command("train", *tiny, place)
    assert outcome.code == 1
    assert f"lies inside the run {run}" in outcome.mistakes[0]
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_the_command_refuses_a_sweep_inside_a_run_and_leaves_no_trace(command, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "runs/a")
    outcome = command("train", "-m", *tiny, "seed=1,2", "hydra.sweep.dir=runs/a/b")
    assert outcome.code == 1
    assert "lies in the run" in outcome.mistakes[0]
    assert [path.name for path in run.iterdir()] == ["config.yaml"]


def test_a_typo_in_the_data_is_mended_in_the_same_directory(command, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = [*tiny, "hydra.run.dir=mine", "callbacks.report=null", "debug=fast_dev_run"]
    failed = command("train", *typed, "data.test=tset")
    assert failed.code == 1
    assert "data.test='tset' is not a folder" in failed.mistakes[0]
    assert command("train", *typed, "data.test=null").code == 0
    assert (tmp_path / "mine/summary.json").exists()
    assert not (tmp_path / "mine/failed.json").exists()
