"""Fixtures that all tests share: drawn pictures, composed configs, the commands in this process."""

import gc
import logging
import os

# One thread per process: the runs are tiny, the cores are shared, and sums do not depend on the machine.
os.environ["OMP_NUM_THREADS"] = "1"
# The tests hold on the CPU of every machine, and so do the processes that they start: only the tests marked
# gpu see GPUs, by restoring the variable in their own processes.
os.environ.setdefault("IMAGECLF_TEST_GPUS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pytest
from composing import compose_from, composed_in, for_job
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig
from PIL import Image

from imageclf.configs import CONF_DIR, ending, paths

# Until the tests run: to look through all that these import, again and again, takes a quarter of the time.
gc.disable()
pytest_plugins = ["run_fixtures", "warm_start", "installed_wheel", "web_page"]

COLOURS = ("blue", "green", "red")


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def mistakes(self) -> list[str]:
        """The error messages."""
        return [line for line in self.err.splitlines() if line.startswith("imageclf: ")]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as long all but every n-th case of a test that is marked `sampled(n)`."""
    cases: Counter[str] = Counter()
    for item in items:
        if mark := item.get_closest_marker("sampled"):
            test = item.nodeid.partition("[")[0]
            if cases[test] % mark.args[0]:
                item.add_marker(pytest.mark.long)
            cases[test] += 1


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Let the garbage collector leave out all that was imported: it takes a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep imageclf's cache out of the user's home, but share matplotlib's slow list of fonts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLCONFIGDIR", matplotlib.get_cachedir())
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield Path(os.environ["XDG_CACHE_HOME"])


def draw(root: Path, count: int, seed: int) -> None:
    """Draw `count` pictures per class into a folder per class; each class has its own colour."""
    generator = np.random.default_rng(seed)
    for index, name in enumerate(COLOURS):
        (root / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.integers(0, 120, (24, 30, 3), dtype=np.uint8)
            noise[..., 2 - index] += 110
            Image.fromarray(noise).save(root / name / f"{number}.png")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 12 pictures: one folder per class."""
    root = tmp_path_factory.mktemp("pictures")
    draw(root, 12, seed=0)
    return root


@pytest.fixture(scope="session")
def seven_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 7 pictures: one folder per class."""
    root = tmp_path_factory.mktemp("seven-pictures")
    draw(root, 7, seed=3)
    return root


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 8 and 4 pictures: train/CLASS and valid/CLASS."""
    root = tmp_path_factory.mktemp("dataset")
    draw(root / "train", 8, seed=1)
    draw(root / "valid", 4, seed=2)
    return root


@pytest.fixture(scope="session")
def tiny(dataset: Path) -> list[str]:
    """Return overrides for the fastest real training: 2 epochs of 3 steps."""
    sizes = [f"schedule.phases.{phase}.size=32" for phase in ("head", "finetune")]
    data = ["data=folder", f"data.root={dataset}", "data.size=32", "data.batch_size=8", "data.num_workers=0"]
    model = ["model.backbone=test_resnet", "model.weights=none", "schedule=quick", *sizes]
    # Bitwise tests hold on the CPU only.
    return [*data, *model, "trainer=cpu"]


@pytest.fixture(scope="session")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., DictConfig]:
    """Return a function that composes a command's config as Hydra does, without resolving it."""
    output = tmp_path_factory.mktemp("output")

    def run(*overrides: str, name: str = "train", folder: str = CONF_DIR) -> DictConfig:
        if folder == CONF_DIR:
            return composed_in(output, overrides, name)
        return for_job(compose_from(folder, overrides, name), output)

    return run


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Outcome]]:
    """Return a function that calls a command in this process as its console script would."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(name: str, *arguments: str) -> Outcome:
        module: Any = import_module(f"imageclf.{name}")
        monkeypatch.setattr(sys, "argv", [f"imageclf-{name}", *arguments])
        monkeypatch.setattr(ending, "_failures", [])
        paths.run_id.cache_clear()
        GlobalHydra.instance().clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as leaving:
            module.main()
        return Outcome(leaving.value.code, *capsys.readouterr())

    yield run
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
