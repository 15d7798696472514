"""Run directories with anything in their files: opening one is a result or a sentence, and runs no code."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hostile_runs import CONTENTS, KINDS, READ, Runs, damaged, replaced, with_odd_values
from hypothesis import HealthCheck, Phase, given, settings

from imageclf import InputError

FILES = [(way, name) for way, names in READ.items() for name in names]
# Each report that is drawn takes seconds.
FILES_READ = [("read" if way == "report" else way, name) for way, name in FILES]
MOST_SECONDS, MOST_BYTES = 10, 500_000_000
# For each file: a result takes a second where a report is drawn or a run goes on, a sentence milliseconds.
EXAMPLES = {"predict": 25, "export": 20, "collect": 10, "read": 40, "report": 3, "going on": 5}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), pictures)


@pytest.fixture
def opened(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alarm: None) -> Callable[..., None]:
    """Return a function that opens a spoiled copy, and lets nothing pass but a result and a sentence."""
    canary = tmp_path / "canary"
    (tmp_path / "canary_module.py").write_text(f"open({str(canary)!r}, 'w')\nclass Canary: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(way: str, spoil: Callable[[Path], object]) -> None:
        # Of this process: others may keep it waiting, but the alarm ends what hangs.
        began = time.process_time()
        with limited_memory(), suppress(InputError):
            runs.open(way, spoil)
        assert time.process_time() - began < MOST_SECONDS
        assert not canary.exists()

    return run


@contextmanager
def limited_memory() -> Iterator[None]:
    """Refuse this process more than `MOST_BYTES` beyond what it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MOST_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("way", READ)
@pytest.mark.sampled(3)
def test_a_run_that_is_not_spoiled_is_opened(way: str, runs: Runs) -> None:
    runs.open(way, lambda run_dir: None)


@pytest.mark.fault(
    "Files of strangers",
    "Any file of a run is a pipe, a device, a folder, a loop of links or a hole of 20 GB",
    "It is refused or taken as missing, within 10 s and 500 MB",
)
@pytest.mark.parametrize(("way", "name"), FILES_READ)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sampled(11)
def test_what_is_no_small_file_is_a_sentence_or_missing(
    kind: str, way: str, name: str, opened: Callable[..., None]
) -> None:
    opened(way, lambda run_dir: replaced(run_dir / name, kind))


@pytest.mark.fault(
    "Files of strangers",
    "Any file of a run is empty, binary, an alias bomb, 200,000 levels deep or 20,000 columns wide",
    "It is refused or not needed, within 10 s and 500 MB",
)
@pytest.mark.parametrize(("way", "name"), FILES_READ)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.sampled(17)
def test_what_no_training_writes_is_a_sentence_or_a_result(
    content: bytes, way: str, name: str, opened: Callable[..., None]
) -> None:
    opened(way, lambda run_dir: (run_dir / name).write_bytes(content))


@pytest.mark.fault(
    "Files of strangers",
    "A file of a run has a flipped byte, is cut or doubled, or has a value that no run writes",
    "The run is opened or refused in a sentence, within 10 s and 500 MB",
)
@pytest.mark.parametrize(("way", "name"), sorted({*FILES, *FILES_READ}))
@pytest.mark.long
def test_a_damaged_file_is_a_sentence_or_a_result(
    way: str, name: str, runs: Runs, opened: Callable[..., None]
) -> None:
    content = runs.content(name)

    @settings(
        max_examples=EXAMPLES[way],
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(content) | with_odd_values(name, content))
    def check(spoiled: bytes) -> None:
        opened(way, lambda run_dir: (run_dir / name).write_bytes(spoiled))

    check()
