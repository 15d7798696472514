"""A real finished run, trained once, and plain configs."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from odd_pictures import write_odd_pictures

from imageclf.configs import CONF_DIR, to_plain
from imageclf.launch.start import train
from imageclf.training.directory import prepare
from imageclf.training.run_config import RunConfig, parse


@pytest.fixture(scope="session")
def finished_run(composed, tiny, tmp_path_factory) -> Path:
    """Train the tiny data set as the main does, with two test pictures to predict."""
    run_dir = tmp_path_factory.mktemp("finished")
    cfg = composed(*tiny, "data.test=valid/red", "data.valid=null", "callbacks.tta.num_augmented=1")
    prepare(cfg, run_dir, [])
    train(run_dir)
    return run_dir


@pytest.fixture(scope="session")
def odd_pictures(tmp_path_factory) -> list[Path]:
    """Write files of every kind that people have, made from one photo."""
    photo = next(path for path in sorted(Path(CONF_DIR).parent.glob("data/stamps/*/*.jpg")))
    return write_odd_pictures(photo, tmp_path_factory.mktemp("odd"))


@pytest.fixture
def config(composed, tiny):
    """Return a function that composes the tiny training config as plain values."""
    return lambda *overrides: to_plain(composed(*tiny, *overrides))


@pytest.fixture
def parsed(config):
    """Return a function that parses the tiny training config."""
    return lambda *overrides: parse(config(*overrides), RunConfig)


@pytest.fixture
def alarm() -> Iterator[None]:
    """Fail a test that hangs: what takes seconds on a quiet machine takes a minute on a busy one."""

    def ring(*signalled: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(180)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
