"""Sweeps on one machine: every job in a process of its own, whatever becomes of the others."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from sweeps import FAST, FAULT, train

from imageclf.system.errors import Failure
from imageclf.system.locks import locked
from imageclf.training.failure import write_failure

KINDS = ["raise", "kill", "none", "memory", "diverge"]
SWEEP = [*FAST, FAULT, f"callbacks.fault.kind={','.join(KINDS)}"]


@pytest.fixture(scope="module")
def faulty(tiny, tmp_path_factory) -> tuple[Path, int, str]:
    """Run a sweep in which four of five jobs fail, two at a time; return (folder, code, sentences)."""
    folder = tmp_path_factory.mktemp("faulty")
    code, said = train(folder, "-m", *tiny, *SWEEP, "hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=2")
    return folder / "sweep", code, said


def failure(sweep: Path, kind: str) -> dict[str, object]:
    return json.loads((sweep / str(KINDS.index(kind)) / "failed.json").read_text())


def test_a_sweep_exits_with_the_highest_code_of_its_jobs(faulty):
    assert faulty[1] == 2


def test_a_sweep_names_each_job_that_failed_and_why(faulty):
    _, _, said = faulty
    names = [f"job {number} (callbacks.fault.kind={kind}): " for number, kind in enumerate(KINDS)]
    assert [name in said for name in names] == [True, True, False, True, True]


@pytest.mark.fault(
    "Several processes and clusters",
    "A job of a sweep fails",
    "The others are finished, and the failed one is named",
)
def test_the_other_jobs_of_a_sweep_are_finished(faulty):
    assert [path.parent.name for path in faulty[0].glob("*/summary.json")] == [str(KINDS.index("none"))]


def test_a_job_that_is_finished_has_no_failure(faulty):
    assert {path.parent.name for path in faulty[0].glob("*/failed.json")} == {"0", "1", "3", "4"}


@pytest.mark.parametrize(
    ("kind", "status", "cause"),
    [
        ("raise", "failed", "RuntimeError: raised on purpose"),
        ("kill", "killed", "ended by SIGKILL; was it out of memory?"),
        ("memory", "failed", "MemoryError"),
        ("diverge", "failed", "the training loss is nan at epoch 1, batch 0 of phase finetune "),
    ],
)
def test_a_failure_says_its_status_code_and_cause(faulty, kind, status, cause):
    found = failure(faulty[0], kind)
    assert set(found) == {"status", "exit_code", "cause"}
    assert (found["status"], found["exit_code"]) == (status, 2)
    assert re.match(cause, found["cause"].splitlines()[0])


def test_a_failure_keeps_the_end_of_the_traceback(faulty):
    *_, last = str(failure(faulty[0], "raise")["cause"]).splitlines()
    assert last == "RuntimeError: raised on purpose"
    assert "probes.py" in failure(faulty[0], "raise")["cause"]


def test_the_traceback_is_in_the_jobs_own_log(faulty):
    log = (faulty[0] / "0" / "train.log").read_text()
    assert "RuntimeError: raised on purpose" in log
    assert len(re.findall(r"epoch +0 ", log)) == 1


@pytest.fixture(scope="module")
def resumed(faulty, tiny, tmp_path_factory) -> tuple[Path, int, str]:
    """Go on with a copy of the faulty sweep, without its faults."""
    folder = tmp_path_factory.mktemp("resumed")
    sweep = Path(shutil.copytree(faulty[0], folder / "sweep"))
    before = (sweep / "2" / "summary.json").stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_FAULT", "1")
        # These change no result.
        free = ("callbacks.checkpoint.every_n_minutes=3", "tags=[again]")
        code, said = train(folder, "-m", *tiny, *SWEEP, *free, "resume_sweep=sweep")
    assert (sweep / "2" / "summary.json").stat().st_mtime_ns == before
    return sweep, code, said


def test_a_resumed_sweep_finishes_the_other_jobs_in_their_directories(resumed):
    assert resumed[1:] == (0, "")
    assert sorted(path.name for path in resumed[0].iterdir()) == ["0", "1", "2", "3", "4", "multirun.yaml"]
    assert len(list(resumed[0].glob("*/summary.json"))) == 5


def test_a_resumed_job_goes_on_from_its_checkpoint(resumed):
    assert "resuming at epoch 1, batch 0" in (resumed[0] / "0" / "train.log").read_text()


def test_a_failure_is_gone_once_the_job_went_on(resumed):
    assert list(resumed[0].glob("*/failed.json")) == []


def test_a_resumed_job_keeps_its_config(resumed):
    kinds = [OmegaConf.load(resumed[0] / str(job) / "config.yaml") for job in range(5)]
    assert [config.callbacks.fault.kind for config in kinds] == KINDS
    assert {config.resume_sweep for config in kinds} == {None}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["resume_sweep=sweep", "seed=1"],
            "sweep was started as another sweep, with no seed (now 1): leave out what changes that",
        ),
        (["resume_sweep=nowhere"], "resume_sweep=nowhere: no sweep is there, multirun.yaml is missing"),
        (["resume_sweep=sweep", "hydra.sweep.dir=sweep"], "leave out hydra.sweep.dir"),
        (["hydra.sweep.dir=sweep"], "sweep holds a sweep already: continue it with resume_sweep=sweep"),
        (["hydra.sweep.dir=new", "hydra.launcher.n_jobs=0"], "hydra.launcher.n_jobs=0: give a whole number"),
        (["hydra.sweep.dir=new", "hydra.sweeper.max_batch_size=1"], "hydra.sweeper.max_batch_size=1: "),
    ],
)
@pytest.mark.sampled(3)
def test_a_sweep_that_cannot_be_meant_is_refused(faulty, tiny, arguments, sentence):
    before = (faulty[0] / "multirun.yaml").read_bytes()
    code, said = train(faulty[0].parent, "-m", *tiny, *SWEEP, *arguments)
    assert code == 1
    assert len(said.splitlines()) == 1
    assert sentence in said
    assert (faulty[0] / "multirun.yaml").read_bytes() == before
    assert not (faulty[0].parent / "new").exists()


def test_a_single_run_does_not_go_on_with_a_sweep(tiny, tmp_path):
    code, said = train(tmp_path, *tiny, "resume_sweep=sweep")
    assert code == 1
    assert "resume_sweep=sweep: it resumes a sweep, so give -m" in said


@pytest.mark.parametrize(
    ("swept", "sentence"),
    [
        ("seed=1,-1", "job 1 (seed=-1): seed=-1: give a number"),
        ("data.sise=32,64", "job 0 (data.sise=32): data.sise: there is no such key"),
        ("data.size=32,large", "job 1 (data.size=large): data.size=large: give a whole number"),
        (
            "ckpt_path=null,nowhere.ckpt",
            "job 1 (ckpt_path=nowhere.ckpt): ckpt_path=nowhere.ckpt: there is no",
        ),
        ("schedule.phases.head.cycle_len=1,0", "job 1 (schedule.phases.head.cycle_len=0): "),
    ],
)
@pytest.mark.sampled(2)
def test_a_mistake_in_one_job_is_said_before_the_first_starts(swept, sentence, tiny, tmp_path):
    code, said = train(tmp_path, "-m", *tiny, swept)
    assert code == 1
    assert len(said.splitlines()) == 1
    assert sentence in said
    assert list(tmp_path.rglob("*.yaml")) == []


def test_a_mistake_that_only_the_data_shows_stops_one_job(tiny, tmp_path):
    code, said = train(tmp_path, "-m", *tiny, *FAST, "data.train=trian,train", "hydra.sweep.dir=sweep")
    assert code == 1
    assert said.startswith("imageclf: job 0 (data.train=trian): data.train='trian' is not a folder")
    assert [path.parent.name for path in tmp_path.glob("sweep/*/summary.json")] == ["1"]
    assert json.loads((tmp_path / "sweep/0/failed.json").read_text())["status"] == "input"


def test_a_single_run_says_why_it_failed(tiny, tmp_path):
    code, _ = train(tmp_path, *tiny, *FAST, FAULT, "callbacks.fault.kind=raise", "hydra.run.dir=run")
    assert code == 2
    assert json.loads((tmp_path / "run" / "failed.json").read_text())["status"] == "failed"


def test_a_run_that_goes_on_forgets_its_failure(tiny, tmp_path, monkeypatch):
    typed = [*tiny, *FAST, FAULT, "callbacks.fault.kind=raise", "hydra.run.dir=run"]
    train(tmp_path, *typed)
    monkeypatch.setenv("NO_FAULT", "1")
    assert train(tmp_path, *typed, "ckpt_path=auto") == (0, "")
    assert not (tmp_path / "run" / "failed.json").exists()


def test_a_finished_run_has_no_failure_after_it_was_started_again(tiny, tmp_path):
    typed = [*tiny, *FAST, "hydra.run.dir=run"]
    assert train(tmp_path, *typed) == (0, "")
    write_failure(tmp_path / "run", Failure("killed", 2, "a rank was killed after everything was written"))
    assert train(tmp_path, *typed, "ckpt_path=auto") == (0, "")
    assert not (tmp_path / "run" / "failed.json").exists()


def test_a_job_leaves_no_failure_in_the_directory_of_a_run_that_is_training(tiny, tmp_path):
    held = tmp_path / "sweep" / "0"
    held.mkdir(parents=True)
    with locked(held):
        code, said = train(tmp_path, "-m", *tiny, *FAST, "hydra.sweep.dir=sweep")
    assert code == 1
    assert f"{held} is held by process {os.getpid()}" in said
    assert not (held / "failed.json").exists()


def test_a_run_that_is_refused_beside_another_leaves_its_failure(tiny, tmp_path):
    typed = [*tiny, *FAST, FAULT, "callbacks.fault.kind=raise", "hydra.run.dir=run"]
    train(tmp_path, *typed)
    before = (tmp_path / "run" / "failed.json").read_bytes()
    assert train(tmp_path, *typed)[0] == 1
    assert (tmp_path / "run" / "failed.json").read_bytes() == before


def test_a_mistake_in_a_single_run_is_its_cause(tiny, tmp_path):
    train(tmp_path, *tiny, "seed=-1", "hydra.run.dir=run")
    found = json.loads((tmp_path / "run" / "failed.json").read_text())
    assert (found["status"], found["exit_code"]) == ("input", 1)
    assert found["cause"].startswith("seed=-1: give a number")
