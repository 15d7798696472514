"""The benchmark on a GPU: its jobs, clocks and goals, and all of it on the CPU with tiny networks."""

import json
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"
QUICK = [sys.executable, str(FOLDER / "gpu.py"), "--device", "cpu", "--quick"]
# What the CPU and an installation for development lack.
LACKING = {"resampling at 32 px", *(() if find_spec("fastai") else ("fastai resnet18@32",))}
Run = Callable[..., list[Any]]


@pytest.fixture(scope="module", autouse=True)
def path() -> Any:
    """Let the scripts be found."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield


@pytest.fixture(scope="module")
def jobs() -> ModuleType:
    """The module of the jobs."""
    return __import__("gpu_jobs")


@pytest.fixture(scope="module")
def run(jobs: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs jobs of benchmark_jobs and returns the events."""
    folder, processes = tmp_path_factory.mktemp("jobs"), __import__("gpu_processes")

    def of(*names: str, seconds: float = 0.0, within: float = 60.0, at_once: int = 1) -> list[Any]:
        setting, deadline = jobs.Setting("cpu", True, folder), time.monotonic() + within
        given = {"well": (3,)}
        chosen = [jobs.Job(each, "benchmark_jobs", each, given.get(each, ()), seconds) for each in names]
        return list(processes.run_jobs(chosen, setting, folder / "log", deadline, at_once))

    # The fork server has loaded all by the end of it.
    of("well")
    return of


@pytest.fixture(scope="module")
def probes() -> ModuleType:
    """The module of the callbacks."""
    return __import__("gpu_probes")


def test_the_rows_of_a_job_come_in_its_order(run: Run) -> None:
    assert run("well") == [("row", "first", {"number": 3}), ("row", "second", {"quick": True})]


def test_jobs_side_by_side_say_all_that_they_say_alone(run: Run) -> None:
    assert sorted(run("well", "lacks", "well", at_once=3), key=str) == sorted(
        run("well", "lacks", "well"), key=str
    )


def test_a_job_that_raises_is_reported_in_a_line_and_the_next_one_runs(run: Run) -> None:
    before, failed, *others = run("raises", "well")
    assert before == ("row", "before", {"number": 1})
    assert failed[:2] == ("failed", "raises")
    assert failed.content.startswith("ValueError: the first line ... the last line (benchmark_jobs.py:")
    assert failed.content.endswith("; the log ends with: said last")
    assert [event.name for event in others] == ["first", "second"]


def test_a_job_that_is_killed_is_reported_and_the_next_one_runs(run: Run) -> None:
    _, failed, *others = run("killed", "well")
    assert failed == ("failed", "killed", "its process ended with code -9")
    assert len(others) == 2


def test_a_job_that_lacks_something_is_skipped_with_the_reason(run: Run) -> None:
    assert run("lacks") == [("skipped", "lacks", "there is no such thing here")]


def test_a_command_that_exits_with_a_code_has_failed(run: Run) -> None:
    ((kind, name, said),) = run("leaves")
    assert (kind, name) == ("failed", "leaves") and said.startswith("SystemExit: 2")


@pytest.mark.long
def test_a_job_that_hangs_is_ended_with_all_that_it_started(run: Run) -> None:
    child, failed = run("hangs", within=3)
    assert failed == ("failed", "hangs", "its time was over")
    # Init reaps it when it likes.
    state = Path(f"/proc/{child.content['pid']}/stat")
    assert not state.exists() or state.read_text().rpartition(") ")[2].startswith("Z")


def test_a_job_that_does_not_fit_is_skipped_and_a_shorter_one_is_not(run: Run, jobs: ModuleType) -> None:
    assert run("well", seconds=30, within=20) == [
        ("skipped", "well", "it takes about 30 s, and 20 s are left")
    ]


def test_the_clock_times_each_epoch_until_enough_is_timed(probes: ModuleType) -> None:
    clock = probes.Clock(torch.device("cpu"), steps=6, warm_up=1, seconds=1e9, epochs=2)
    said = [clock.tick(step) for _ in range(2) for step in range(6)]
    assert said.index(True) == 6 + 4
    assert len(clock.rates(batch_size=8)) == 2
    assert all(
        rate == pytest.approx(3 * 8 / each) for rate, each in zip(clock.rates(8), clock.windows, strict=True)
    )


def test_the_clock_times_the_steps_of_all_workers_alike(probes: ModuleType) -> None:
    clock = probes.Clock(torch.device("cpu"), steps=50, warm_up=15, seconds=1e9, epochs=1, workers=14)
    assert [clock.tick(step) for step in range(50)].index(True) == 15 + 2 * 14


def test_a_clock_that_has_nothing_to_time_is_refused(probes: ModuleType) -> None:
    with pytest.raises(ValueError, match="leaves too few to be timed"):
        probes.Clock(torch.device("cpu"), steps=6, warm_up=4, seconds=1.0, epochs=2)


def trained(size: int) -> Any:
    """Return what a probe asks a trainer for."""
    data = SimpleNamespace(
        size_of=lambda place: size,
        schedule=SimpleNamespace(at=lambda epoch: epoch),
        is_on_device=lambda size: size == 32,
        num_workers=3,
    )
    return SimpleNamespace(datamodule=data, current_epoch=0, precision="32-true")


def test_syncs_are_counted_between_two_steps_and_their_places_named(
    probes: ModuleType, tmp_path: Path
) -> None:
    probe = probes.Syncs(tmp_path, first=1, steps=2)

    def step(batch: int, syncs: int) -> None:
        for _ in range(syncs):
            # As torch does in C++ while Python runs this line, however often.
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        probe.on_train_batch_end(trained(32), None, None, None, batch)

    step(0, syncs=0)
    step(1, syncs=0)
    step(2, syncs=2)
    with pytest.raises(probes.EnoughError):
        step(3, syncs=3)
    found = json.loads((tmp_path / "probe.json").read_text())
    assert (found["store"], found["workers"], found["steps"]) == (True, 3, 2)
    ((place, number),) = found["places"].items()
    assert number == 2 + 3 and place.endswith(" step") and place.startswith("test_benchmarks_gpu.py:")
    assert warnings.showwarning.__name__ != "_count"


def test_goals_are_reached_missed_or_not_measured() -> None:
    goals = __import__("gpu_goals").goals
    rows = {"resnet50@224 store=auto": {"of the limit": 0.96, "images/s": 3000.0}}
    parts = {
        "throughput": {"rows": rows, "failed": {}, "skipped": {}},
        "peers": {"rows": {"timm resnet50@224": {"images/s": 2500.0}}, "failed": {"x": "y"}, "skipped": {}},
        "bitwise": {
            "rows": {"a": {"equal": True}, "b (information)": {"equal": False}},
            "failed": {},
            "skipped": {},
        },
        "first start": {
            "rows": {
                "decoding alone": {"pictures/s": 500.0},
                "check and shrink, 16 cores": {"pictures/s": 6000.0, "cores": 16},
            },
            "failed": {},
            "skipped": {},
        },
    }
    found = {goal.name: (goal.measured, goal.reached) for goal in goals(parts)}
    assert found["jobs that failed"] == (1, False)
    assert found["resnet50@224 store=auto, of the limit"] == (0.96, True)
    assert found["resnet50@224 over timm"] == (1.2, False)
    assert found["resnet18@224 over timm"] == (None, None)
    assert found["runs that went on bit for bit"] == (1.0, True)
    assert found["check and shrink, 16 cores, over decoding alone, a core"] == (0.75, True)


def test_the_plan_asks_for_functions_that_are_there(jobs: ModuleType, tmp_path: Path) -> None:
    plan = __import__("gpu_plan")
    parts = plan.parts(jobs.Setting("cuda", False, tmp_path))
    functions = {(job.module, job.function) for part in parts for job in part.jobs}
    assert len(functions) > 15
    assert all(callable(getattr(__import__(module), function)) for module, function in functions)
    assert {part.name for part in parts} == set(__import__("gpu").PARTS)
    names = [(part.name, job.name) for part in parts for job in part.jobs]
    assert len(names) == len(set(names)) > 40


def finished(output: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the script, and return its exit code and its last line, which is also in the file."""
    done = subprocess.run(
        [*QUICK, "--output", str(output), *options], capture_output=True, text=True, check=False
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert json.loads(output.read_text()) == figures, done.stderr
    return done.returncode, figures


@pytest.mark.long
def test_what_does_not_fit_is_skipped_and_the_figures_are_there(tmp_path: Path) -> None:
    code, figures = finished(tmp_path / "gpu.json", "--minutes", "0")
    assert code == 0
    assert figures["parts"].keys() == set(__import__("gpu").PARTS)
    for part in figures["parts"].values():
        assert part["skipped"] and not part["rows"] and not part["failed"]
        assert all(reason.endswith("and 0 s are left") for reason in part["skipped"].values())


@pytest.mark.long
def test_one_that_is_ended_leaves_the_figures_so_far(tmp_path: Path) -> None:
    command = [*QUICK, "--output", str(tmp_path / "gpu.json"), "--parts", "machine", "compile"]
    seen = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            seen.append(line)
            if line.startswith("== compile"):
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert json.loads(seen[-1])["parts"]["machine"]["rows"]["python"]["cores"] >= 1


@pytest.mark.long
def test_all_parts_run_with_tiny_networks_on_the_cpu(tmp_path: Path) -> None:
    # Compiling has tests of its own, and takes as long as half of the others.
    chosen = [name for name in __import__("gpu").PARTS if name != "compile"]
    code, figures = finished(tmp_path / "gpu.json", "--minutes", "20", "--parts", *chosen)
    assert figures["parts"].keys() == set(chosen)
    assert {name: part["failed"] for name, part in figures["parts"].items() if part["failed"]} == {}
    assert code == 0
    assert {name for part in figures["parts"].values() for name in part["skipped"]} == LACKING
    assert all(part["rows"] for part in figures["parts"].values())
    assert figures["goals"]["runs that went on bit for bit"] is True
    assert figures["goals"]["results that should be equal and are not"] is True
    assert (tmp_path / "gpu.txt").read_text().count("\n== ") == len(chosen) + 1
    assert (tmp_path / "gpu.log").read_text().count("===== ") > 20
