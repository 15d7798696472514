"""A run with one batch for all ranks together goes on with another number of them."""

from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from fork_server import FORK_SERVER
from probes import lines
from small_runs import RECORDER, THREE_PHASES, train_small

from imageclf import InputError
from imageclf.configs import to_plain
from imageclf.system.errors import RankError
from imageclf.training.parts.shared_batches import for_ranks, per_process
from imageclf.training.run_config import RunConfig, parse

# No dropout and no batch norm in training: they see a rank's own pictures. 28 pictures make batches of 8, 8,
# 8 and 4, the last of which feeds two of four ranks.
GLOBAL = [
    *THREE_PHASES,
    "~schedule.phases.large",
    "data.batch_size=auto",
    "data.global_batch_size=8",
    "data.valid_pct=0.22",
    "model.head.dropout=0",
    "~callbacks.tta",
    "callbacks.checkpoint.every_n_batches=1",
    "+callbacks.first={_target_: probes.StopAt, epoch: 2, batch: 1}",
    "+callbacks.second={_target_: probes.StopAt, epoch: 3, batch: 2}",
    RECORDER,
]


TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4"}


class Batch(NamedTuple):
    """A batch as all ranks saw it together."""

    rows: list[int]
    views: list[int]
    lrs: dict[str, float]


def on_ranks(run_dir: Path, pictures: Path, number: int) -> Path:
    """Train, or go on, with a number of ranks."""
    devices = ["trainer=ddp", "trainer.accelerator=cpu", f"trainer.devices={number}"]
    again = ["ckpt_path=auto"] if (run_dir / "metrics.csv").exists() else []
    typed = (*GLOBAL, *devices, *again)
    if number > 1:
        return train_small(run_dir, pictures, *typed)
    # A single rank would leave its process group behind in this process.
    process = FORK_SERVER.Process(target=train_small, args=(run_dir, pictures, *typed))
    process.start()
    process.join()
    assert process.exitcode == 0
    return run_dir


def batches(run_dir: Path) -> dict[tuple[int, int], Batch]:
    """Return the batches by (epoch, batch), each as the union of its ranks' shares."""
    seen: list[dict[str, Any]] = [row for rank in range(4) for row in _rows(run_dir, rank)]
    seen.sort(key=_position)
    return {position: _together([*rows]) for position, rows in groupby(seen, _position)}


def _rows(run_dir: Path, rank: int) -> list[dict[str, Any]]:
    return lines(run_dir, "batch", rank) if (run_dir / f"probe-{rank}.jsonl").exists() else []


def _position(row: dict[str, Any]) -> tuple[int, int]:
    return row["epoch"], row["batch"]


def _together(rows: list[dict[str, Any]]) -> Batch:
    pictures = sorted({picture for row in rows for picture in row["rows"]})
    views = sorted({view for row in rows for view in row["views"]})
    assert all(row["lrs"] == rows[0]["lrs"] for row in rows)
    return Batch(pictures, views, rows[0]["lrs"])


@pytest.fixture(scope="module")
def undisturbed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one rank, stopped nowhere."""
    run_dir = tmp_path_factory.mktemp("one")
    for marker in ("stopped-2-1", "stopped-3-2"):
        (run_dir / marker).touch()
    return on_ranks(run_dir, pictures, 1)


@pytest.fixture(scope="module")
def fewer(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that four ranks begin, two go on with, and one ends."""
    run_dir = tmp_path_factory.mktemp("fewer")
    for number in (4, 2):
        with pytest.raises(RankError, match="stopped on purpose"):
            on_ranks(run_dir, pictures, number)
    return on_ranks(run_dir, pictures, 1)


@pytest.mark.long
def test_four_two_and_one_ranks_see_the_batches_views_and_rates_of_one(
    fewer: Path, undisturbed: Path
) -> None:
    seen = batches(fewer)
    assert seen == batches(undisturbed)
    assert len(seen) == 5 * 4
    assert len(seen[4, 3].rows) == 4 and len(seen[4, 0].views) == 8


@pytest.mark.long
@pytest.mark.fault(
    "Several processes and clusters",
    "A run with `data.global_batch_size` goes on with fewer ranks",
    "The same batches, views and learning rates, and the same weights but for rounding",
)
def test_four_two_and_one_ranks_end_with_the_weights_of_one(fewer: Path, undisturbed: Path) -> None:
    one, other = (torch.load(run / "snapshots/final.ckpt")["state_dict"] for run in (undisturbed, fewer))
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_the_mean_loss_of_an_epoch_counts_the_batches_of_the_ranks_before(
    fewer: Path, undisturbed: Path
) -> None:
    one, other = (pd.read_csv(run / "metrics.csv")["train/loss"] for run in (undisturbed, fewer))
    pd.testing.assert_series_equal(one, other, rtol=1e-5)


@pytest.fixture(scope="module")
def parsed(composed, tiny):
    """Return a function that parses a tiny training with overrides."""
    return lambda *typed: parse(to_plain(composed(*tiny, "data.batch_size=auto", *typed)), RunConfig)


def test_ranks_share_a_batch_and_those_of_the_phases(parsed) -> None:
    config = parsed(
        "data.global_batch_size=12",
        "schedule.phases.head.n_cycles=2",
        "++schedule.phases.head.batch_size=[8,4]",
    )
    shared = per_process(config, 4)
    assert shared.data.loading.pictures_a_step == 3
    assert shared.schedule.phases["head"].batch_size == [2, 1]
    assert shared.schedule.phases["finetune"].batch_size is None


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("data.global_batch_size=10", "data.global_batch_size=10: 4 ranks do not divide it; give a multiple"),
        (
            "++schedule.phases.head.batch_size=2",
            "schedule.phases.head.batch_size=2: 4 ranks do not divide it",
        ),
    ],
)
def test_a_batch_that_the_ranks_do_not_divide_is_refused(parsed, typed: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        per_process(parsed("data.global_batch_size=8", typed), 4)
    assert str(refused.value).startswith(sentence)


def test_without_a_global_batch_nothing_is_shared(parsed) -> None:
    config = parsed("data.batch_size=8")
    assert for_ranks(config, TORCHRUN) is config


def test_with_a_global_batch_torchrun_decides_on_the_ranks(parsed) -> None:
    config = for_ranks(parsed("data.global_batch_size=8"), TORCHRUN)
    assert (config.trainer["devices"], config.trainer["num_nodes"]) == (2, 2)
    assert config.data.loading.pictures_a_step == 2


def test_a_batch_for_all_ranks_and_one_for_each_are_not_given_together(parsed) -> None:
    with pytest.raises(InputError, match=r"data\.global_batch_size=16 is in place of data\.batch_size=8"):
        parsed("data.batch_size=8", "data.global_batch_size=16")
