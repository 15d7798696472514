"""The wheel: what it carries, and that it trains where there is no clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "src").rglob("*.py"))
# What a developer keeps in conf/local is not carried.
CONFIGS = sorted(
    p for p in (ROOT / "conf").rglob("*.yaml") if p.parent.name != "local" or p.stem == "example"
)


@pytest.fixture(scope="module")
def carried(wheel) -> dict[str, bytes]:
    """Return the wheel's files by path."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def call(target, tmp_path_factory):
    """Return a function that runs Python with the installed wheel, in an empty folder."""
    folder = tmp_path_factory.mktemp("elsewhere")
    environment = os.environ | {"PYTHONPATH": str(target)}

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(scope="module")
def trained(call, tiny):
    return call("-m", "imageclf.train", *tiny, "hydra.run.dir=trained")


def test_there_are_files_to_look_for():
    assert len(MODULES) > 50
    assert len(CONFIGS) > 40


def test_the_wheel_carries_every_module(carried):
    assert {path.relative_to(ROOT / "src").as_posix() for path in MODULES} - set(carried) == set()


def test_the_wheel_carries_every_config_unchanged(carried):
    expected = {
        f"imageclf/conf/{path.relative_to(ROOT / 'conf').as_posix()}": path.read_bytes() for path in CONFIGS
    }
    assert {name: carried.get(name) for name in expected} == expected


def test_the_wheel_carries_the_templates_of_pages_and_exports_and_what_they_include(carried):
    files = [path for path in (ROOT / "src/imageclf").rglob("*.*") if path.suffix not in (".py", ".pyc")]
    assert {".j2", ".css", ".js", ".wasm", ".txt"} <= {path.suffix for path in files}
    for path in files:
        assert carried[path.relative_to(ROOT / "src").as_posix()] == path.read_bytes()


def test_the_wheel_carries_no_pictures_and_no_tests(carried):
    assert not [name for name in carried if name.endswith((".jpg", ".png")) or "test" in name.split("/")[0]]


def test_the_wheel_installs_the_commands(carried):
    (entries,) = [text.decode() for name, text in carried.items() if name.endswith("entry_points.txt")]
    names = ("train", "plan", "lr-find", "batch-size", "predict", "collect", "export")
    commands = [f"imageclf-{name}" for name in names]
    assert all(f"{name} = imageclf." in entries for name in commands)


def test_what_runs_is_the_installed_wheel(call, target):
    done = call(
        "-c", "import imageclf, imageclf.configs; print(imageclf.__file__); print(imageclf.configs.CONF_DIR)"
    )
    assert done.stdout.splitlines() == [f"{target}/imageclf/__init__.py", f"{target}/imageclf/conf"]


def test_the_installed_wheel_trains(trained):
    assert trained.returncode == 0, trained.stderr
    run_dir = Path(trained.stdout.splitlines()[-1])
    assert (run_dir / "summary.json").is_file()
    assert (run_dir / "report.html").is_file()


def test_the_installed_wheel_exports(call, trained):
    run_dir = trained.stdout.splitlines()[-1]
    done = call("-m", "imageclf.export", f"run={run_dir}", "format=timm", "weights=final", "output=out")
    assert done.returncode == 0, done.stderr


def test_the_installed_wheel_collects(call, trained):
    done = call("-m", "imageclf.collect", f"root={Path(trained.stdout.splitlines()[-1])}", "out=table")
    assert done.returncode == 0, done.stderr


def test_the_installed_wheel_takes_the_config_of_one_machine(call, tmp_path):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "default.yaml").write_text("# @package _global_\ndata:\n  cache_gb: 7\n")
    done = call("-m", "imageclf.train", f"--config-dir={tmp_path}", "--cfg=job")
    assert "cache_gb: 7" in done.stdout


def test_the_installed_wheel_predicts(call, trained, dataset):
    run_dir = trained.stdout.splitlines()[-1]
    done = call("-m", "imageclf.predict", f"run={run_dir}", f"data={dataset}/valid", "output=new.csv")
    assert done.returncode == 0, done.stderr


def test_the_installed_wheel_predicts_from_python(call, trained, dataset):
    run_dir = trained.stdout.splitlines()[-1]
    done = call("-c", f"import imageclf; print(imageclf.load({run_dir!r}).predict({f'{dataset}/valid'!r}))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("<Prediction: 12 pictures: ")


def test_the_wheel_says_that_it_is_typed(carried):
    assert "imageclf/py.typed" in carried


def test_without_data_the_installed_wheel_says_what_to_give(call):
    done = call("-m", "imageclf.train")
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("imageclf: ")]
    assert "data=FOLDER or data=FILE.csv" in said
    assert "Traceback" not in done.stderr
