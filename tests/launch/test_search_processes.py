"""A search as processes: killed and gone on with, trials that fail or are pruned, and their page."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from sweeps import FAST, living, train, wait_for
from warm_start import WarmStart

from imageclf.commands.collect import CollectOptions, collect, write_files

pytest.importorskip("optuna", minversion="4")
pytestmark = pytest.mark.long

SEARCH = [
    *FAST,
    "~callbacks.snapshots",
    "hparams_search=optuna",
    "hydra.sweep.dir=sweep",
    "hydra.sweeper.n_trials=5",
    "hydra.launcher.n_jobs=2",
    "hydra.sweeper.pruner=median",
    "hydra.sweeper.median.n_startup_trials=1",
]


def results(sweep: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(sweep / "optimization_results.yaml"))


def runs(sweep: Path) -> list[str]:
    return sorted(path.parent.name for path in sweep.glob("*/config.yaml"))


@pytest.fixture(scope="module")
def killed(
    tiny: list[str], tmp_path_factory: pytest.TempPathFactory, warm_start: WarmStart
) -> tuple[Path, int]:
    """Kill a search at its third trial, go on with it, and return (its folder, exit code)."""
    folder = tmp_path_factory.mktemp("killed")
    process = warm_start.begin(folder, "-m", *tiny, *SEARCH)
    wait_for(lambda: list(folder.glob("sweep/2/checkpoints/last.ckpt")) or (folder / "sweep/3").exists())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not living(process.pid))
    resumed = [each for each in SEARCH if not each.startswith("hydra.sweep.dir=")]
    code, _ = train(folder, "-m", *tiny, *resumed, "resume_sweep=sweep")
    return folder / "sweep", code


@pytest.mark.fault(
    "Several processes and clusters",
    "A search is killed and goes on",
    "It has as many trials as undisturbed, and none is lost",
)
def test_a_search_that_was_killed_ends_with_all_its_trials(killed: tuple[Path, int]) -> None:
    sweep, code = killed
    assert code == 0
    assert runs(sweep) == [str(number) for number in range(5)]
    assert {trial["state"] for trial in results(sweep)["trials"]} <= {"complete", "pruned"}


def test_the_best_run_of_a_search_is_named_with_what_it_was_given(killed: tuple[Path, int]) -> None:
    found = results(killed[0])
    scores = [trial["value"] for trial in found["trials"] if trial["state"] == "complete"]
    assert found["best_value"] == max(scores)
    best = OmegaConf.load(killed[0] / str(found["best_run"]) / "config.yaml")
    assert {key: OmegaConf.select(best, key) for key in found["best_params"]} == found["best_params"]


def test_a_run_of_a_search_reports_each_cycle_but_the_last(killed: tuple[Path, int]) -> None:
    journal = (killed[0] / "study.log").read_text().splitlines()
    reports = [line for line in map(json.loads, journal) if "step" in line]
    assert len(reports) == 5
    assert {report["step"] for report in reports} == {1}


def test_a_search_has_a_section_on_the_page_of_its_runs(killed: tuple[Path, int], tmp_path: Path) -> None:
    collected = collect(CollectOptions(root=str(killed[0].parent), sort=None, out=None))
    (search,) = collected.searches
    assert (search.name, search.metric, len(search.states)) == ("sweep", "val/acc", 5)
    page = write_files(collected, tmp_path).read_text()
    assert "Score of each trial, and the best so far" in page
    assert not [name for name in collected.table if "pruning" in name]


@pytest.fixture(scope="module")
def pruned(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """Search among learning rates of which one learns nothing; return (its folder, exit code)."""
    folder = tmp_path_factory.mktemp("pruned")
    space = [
        "schedule.phases.head.lr=choice(0.01,1e-30)",
        "model.head.dropout=0",
        "optimized_metric=val/loss",
    ]
    more = ["hydra.sweeper.direction=minimize", "hydra.launcher.n_jobs=1", "hydra.sweeper.sampler.seed=1"]
    code, _ = train(folder, "-m", *tiny, *SEARCH, *space, *more)
    return folder / "sweep", code


def test_a_trial_that_is_pruned_is_no_failure(pruned: tuple[Path, int]) -> None:
    sweep, code = pruned
    ended = {path.parent.name: json.loads(path.read_text()) for path in sweep.glob("*/failed.json")}
    assert code == 0
    assert ended
    assert {(each["status"], each["exit_code"]) for each in ended.values()} == {("pruned", 0)}
    assert all(not (sweep / name / "summary.json").exists() for name in ended)


def test_a_trial_that_is_pruned_has_the_row_of_its_last_epoch(pruned: tuple[Path, int]) -> None:
    sweep, _ = pruned
    rows = {
        len((path.parent / "metrics.csv").read_text().splitlines()) for path in sweep.glob("*/failed.json")
    }
    # The head of the table, and the first of two epochs.
    assert rows == {2}


def test_a_pruned_run_has_a_status_of_its_own_and_no_cause(pruned: tuple[Path, int]) -> None:
    collected = collect(CollectOptions(root=str(pruned[0]), sort=None, out=None))
    assert {run.cause for run in collected.records if run.status == "pruned"} == {""}
    assert {run.status for run in collected.records} == {"finished", "pruned"}


def test_a_search_goes_on_after_a_failed_trial_and_keeps_the_best(tiny: list[str], tmp_path: Path) -> None:
    search = [*FAST, "hparams_search=optuna", "hydra.sweeper.n_trials=3", "hydra.sweep.dir=sweep"]
    # 99 is refused when the model is built; this seed draws both.
    space = ["model.groups=choice(3,99)", "hydra.sweeper.sampler.seed=2"]
    code, said = train(tmp_path, "-m", *tiny, *search, *space)
    sweep = tmp_path / "sweep"
    failed = list(sweep.glob("*/failed.json"))
    done = [json.loads(path.read_text())["val/acc"] for path in sweep.glob("*/summary.json")]
    assert failed
    assert len(done) + len(failed) == 3
    assert code == 1, said
    assert OmegaConf.load(sweep / "optimization_results.yaml").best_value == max(done)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["hydra.sweeper.n_jobs=2"], "hydra.sweeper.n_jobs: trials start as slots become free"),
        (["model.head.dropout='choice(0,2.0)'"], "model.head.dropout"),
        (["optimized_metric=val/acc_best"], "is not measured at the end of a cycle"),
        (["hydra.sweeper.direction=minimize"], "looks for the worst optimized_metric=val/acc"),
    ],
)
def test_a_search_that_cannot_be_meant_is_refused_before_its_first_trial(
    given: list[str], sentence: str, tiny: list[str], tmp_path: Path
) -> None:
    code, said = train(tmp_path, "-m", *tiny, *SEARCH, *given)
    assert code == 1
    assert sentence in said
    assert not (tmp_path / "sweep").exists()


def test_a_search_that_chooses_hydras_own_sweeper_is_run_by_ours(command: Any, tmp_path: Path) -> None:
    (tmp_path / "hparams_search").mkdir()
    chosen = "[{override /hydra/sweeper: optuna}, {override /hydra/sweeper/sampler: random}]"
    (tmp_path / "hparams_search/old.yaml").write_text(f"# @package _global_\ndefaults: {chosen}\n")
    shown = ("--cfg", "hydra", "--package", "hydra.sweeper", f"--config-dir={tmp_path}")
    outcome = command("train", *shown, "hparams_search=old")
    assert outcome.code == 0
    assert "SearchSweeper" in outcome.out and "optuna.samplers.RandomSampler" in outcome.out
