"""A run directory that is removed or moved during the training."""

from pathlib import Path

import pytest
from small_runs import THREE_PHASES, train_small

from imageclf.system.errors import FAILED, RunError
from imageclf.training.failure import record_failure


@pytest.mark.fault(
    "Kills, signals and disks",
    "The run directory vanishes",
    "The run ends at once; no half of one is left there",
)
def test_a_run_whose_directory_vanishes_ends_and_leaves_nothing_in_its_place(
    pictures: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    move = "+callbacks.move={_target_: probes.MoveRun, epoch: 1}"
    with pytest.raises(RunError, match="was removed or moved during its training"), record_failure(run_dir):
        train_small(run_dir, pictures, *THREE_PHASES, move)
    assert not run_dir.exists()
    assert len((tmp_path / "elsewhere" / "metrics.csv").read_text().splitlines()) == 2


def test_a_known_cause_is_one_sentence_and_no_traceback(command, tiny, tmp_path, monkeypatch) -> None:
    move = "+callbacks.move={_target_: probes.MoveRun, epoch: 1}"
    monkeypatch.chdir(tmp_path)
    outcome = command("train", *tiny, f"hydra.run.dir={tmp_path}/run", move)
    assert (outcome.code, len(outcome.mistakes)) == (FAILED, 1), outcome
    assert "Traceback" not in outcome.err
