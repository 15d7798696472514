"""Several ranks through the one door."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from probes import lines
from small_runs import RECORDER, SMALL, THREE_PHASES, composed, phases, train_small

from imageclf import InputError
from imageclf.launch.ranks import first_cause, run_ranks
from imageclf.system.errors import Failure, RankError, RunError
from imageclf.training.directory import prepare
from imageclf.training.parts.accelerator import num_ranks
from imageclf.training.parts.table import table_of_run
from imageclf.training.run_config import read_run_config

KILL_RANK_1 = "+callbacks.die={_target_: probes.KillRank, rank: 1}"
TWO_RANKS = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """A run of three phases on two ranks, recorded."""
    run_dir = tmp_path_factory.mktemp("two-ranks")
    return train_small(run_dir, pictures, *THREE_PHASES, *TWO_RANKS, RECORDER)


def test_parameters_are_equal_on_both_ranks_after_every_epoch_of_every_phase(two_ranks: Path) -> None:
    first, second = ([row["parameters"] for row in lines(two_ranks, "epoch", rank)] for rank in (0, 1))
    assert len(first) == 6
    assert first == second
    assert len(set(first)) == 6


def test_both_ranks_went_through_ddp_in_every_epoch(two_ranks: Path) -> None:
    for rank in (0, 1):
        assert {row["wrapped"] for row in lines(two_ranks, "epoch", rank)} == {"DistributedDataParallel"}


def test_the_ranks_share_each_epoch_between_them(two_ranks: Path) -> None:
    split = pd.read_csv(two_ranks / "split.csv")
    rows = [
        index
        for rank in (0, 1)
        for row in lines(two_ranks, "batch", rank)
        if row["epoch"] == 2
        for index in row["rows"]
    ]
    assert len(rows) == len(set(rows))
    assert set(rows) <= set(split.index[split.split == "train"])
    assert len(rows) >= (split.split == "train").sum() - 3


def test_every_validation_picture_is_predicted_once(two_ranks: Path) -> None:
    split = pd.read_csv(two_ranks / "split.csv", dtype=str)
    predicted = pd.read_csv(two_ranks / "predictions/valid.csv", dtype=str)
    assert list(predicted.id) == list(split.id[split.split == "valid"])


def test_two_ranks_make_one_run_directory_with_one_row_per_epoch(two_ranks: Path) -> None:
    assert list(pd.read_csv(two_ranks / "metrics.csv").epoch) == [0, 1, 2, 3, 4, 5]


def test_two_ranks_reach_the_weights_of_one_rank_with_the_double_batch(
    pictures: Path, tmp_path: Path
) -> None:
    # No dropout, whose draws differ between ranks, and no batch norm in training; 28 pictures.
    same = [
        *THREE_PHASES,
        "~schedule.phases.large",
        "model.head.dropout=0",
        "data.valid_pct=0.22",
        "++schedule.phases.tune.shape=constant",
    ]
    one = train_small(tmp_path / "one", pictures, *same, "data.batch_size=14")
    two = train_small(tmp_path / "two", pictures, *same, *TWO_RANKS, "data.batch_size=7")
    weights = [
        torch.load(run / "snapshots/final.ckpt", weights_only=True)["state_dict"] for run in (one, two)
    ]
    assert weights[0].keys() == weights[1].keys()
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> tuple[Path, Path]:
    """A search on one rank, and on two that share its batches of 14 between them; the body's norms rest."""
    folder = tmp_path_factory.mktemp("searches")
    same = phases(
        head={"unfreeze_to": "head", "augment": False, "precompute": True},
        tune={"unfreeze_to": 0, "bn": "eval", "lr_ratio": 3.0},
    )
    same += ["model.head.dropout=0", "data.valid_pct=0.22", "callbacks.lr_finder.num_steps=20", RECORDER]
    one = train_small(folder / "one", pictures, *same, "data.batch_size=14")
    return one, train_small(folder / "two", pictures, *same, *TWO_RANKS, "data.batch_size=7")


@pytest.mark.long
def test_a_search_on_two_ranks_sees_the_curve_of_one(searches: tuple[Path, Path]) -> None:
    one, two = (pd.read_csv(run / "lr_find/head.csv") for run in searches)
    assert len(one) == len(two) > 5
    pd.testing.assert_frame_equal(one, two, check_exact=False, rtol=1e-3)


def test_both_ranks_train_with_the_rate_that_the_search_found(searches: tuple[Path, Path]) -> None:
    run = searches[1]
    for phase in ("head", "tune"):
        found = json.loads((run / f"lr_find/{phase}.json").read_text())["suggestion"] or 1e-3
        epoch = ("head", "tune").index(phase)
        for rank in (0, 1):
            first = next(row for row in lines(run, "batch", rank) if row["epoch"] == epoch)
            assert first["lrs"]["head"] == pytest.approx(found)


def test_both_ranks_are_still_equal_after_a_search(searches: tuple[Path, Path]) -> None:
    first, second = ([row["parameters"] for row in lines(searches[1], "epoch", rank)] for rank in (0, 1))
    assert len(first) == 2 and first == second


@pytest.mark.parametrize(
    ("batch_size", "rest"),
    [(13, 5), (11, 9), (14, 3), (5, 1)],
    ids=["3 + 2", "5 + 4", "3 whole", "1 left out"],
)
@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.sampled(8)
def test_an_uneven_last_batch_teaches_two_ranks_what_it_teaches_one(
    pictures: Path, tmp_path: Path, batch_size: int, rest: int, accumulation: int
) -> None:
    # Plain gradients: no momentum that hides their size, no draws or batch norm that differ by rank.
    same = [
        *phases(all={"cycle_len": 2, "lr": 0.05, "unfreeze_to": 0, "bn": "eval", "shape": "constant"}),
        "model/optimizer=sgd",
        "model.optimizer.momentum=0",
        "model.optimizer.nesterov=false",
        "model.head.dropout=0",
        "data.split=random",
        "data.valid_pct=0.139",
        f"trainer.accumulate_grad_batches={accumulation}",
    ]
    one = train_small(tmp_path / "one", pictures, *same, f"data.batch_size={2 * batch_size}")
    two = train_small(tmp_path / "two", pictures, *same, *TWO_RANKS, f"data.batch_size={batch_size}")
    assert json.loads((one / "summary.json").read_text())["num_train"] % (2 * batch_size) == rest
    weights = [
        torch.load(run / "snapshots/final.ckpt", weights_only=True)["state_dict"] for run in (one, two)
    ]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-4, atol=1e-6)
    losses = [pd.read_csv(run / "metrics.csv")["train/loss"] for run in (one, two)]
    pd.testing.assert_series_equal(*losses, rtol=1e-5)


@pytest.mark.fault(
    "Several processes and clusters",
    "Seven pictures are predicted on two ranks",
    "Seven rows, as on one rank",
)
def test_seven_pictures_on_two_ranks_are_predicted_as_on_one(pictures: Path, tmp_path: Path) -> None:
    # A rate too small to move any weight, so that both runs validate the same network: 36 x 0.2 = 7.
    still = phases(still={"lr": 1e-30, "unfreeze_to": "head", "augment": False, "bn": "eval"})
    same = [*still, "data.valid_pct=0.2", "model.optimizer.weight_decay=0", "data.batch_size=4"]
    one = train_small(tmp_path / "one", pictures, *same)
    two = train_small(tmp_path / "two", pictures, *same, *TWO_RANKS)
    tables = [pd.read_csv(run / "predictions/valid.csv", dtype={"id": str}) for run in (one, two)]
    assert len(tables[0]) == 7
    pd.testing.assert_frame_equal(*tables, check_exact=False, rtol=1e-6)
    scores = [json.loads((run / "summary.json").read_text()) for run in (one, two)]
    assert scores[0]["val/acc"] == scores[1]["val/acc"]
    assert scores[0]["val/acc_tta"] == scores[1]["val/acc_tta"]


@pytest.mark.fault(
    "Several processes and clusters", "A run on two ranks is stopped", "It goes on bit for bit"
)
def test_two_ranks_that_are_stopped_go_on_bit_for_bit(
    two_ranks: Path, pictures: Path, tmp_path: Path
) -> None:
    stopped = [
        *THREE_PHASES,
        *TWO_RANKS,
        RECORDER,
        "callbacks.checkpoint.every_n_batches=1",
        "+callbacks.stop={_target_: probes.StopAt, epoch: 3, batch: 1}",
    ]
    with pytest.raises(RankError, match="stopped on purpose"):
        train_small(tmp_path, pictures, *stopped)
    train_small(tmp_path, pictures, *stopped, "ckpt_path=auto")
    assert lines(tmp_path, "epoch")[-1]["parameters"] == lines(two_ranks, "epoch")[-1]["parameters"]
    columns = ["epoch", "train/loss", "val/loss", "val/acc"]
    curves = [pd.read_csv(run / "metrics.csv")[columns] for run in (tmp_path, two_ranks)]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_a_checkpoint_of_two_ranks_is_not_for_one(two_ranks: Path, pictures: Path, tmp_path: Path) -> None:
    # As where `devices: auto` finds fewer: no override says so.
    saved = two_ranks / "checkpoints/last.ckpt"
    with pytest.raises(InputError) as refused:
        train_small(tmp_path, pictures, *THREE_PHASES, f"ckpt_path={saved}")
    assert str(refused.value).startswith(f"{saved} was saved by 2 ranks, and there are 1: its batches would ")


@pytest.mark.fault("Several processes and clusters", "A rank fails", "The others end, with its sentence")
def test_a_mistake_on_a_rank_arrives_as_one_sentence(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.backbone=resnet999"):
        train_small(tmp_path, pictures, *THREE_PHASES, *TWO_RANKS, "model.backbone=resnet999")


@pytest.mark.usefixtures("alarm")
def test_an_error_of_a_megabyte_arrives_whole(pictures: Path, tmp_path: Path) -> None:
    fail = "+callbacks.fail={_target_: probes.FailAtLength, size: 1000000}"
    with pytest.raises(RankError) as raised:
        train_small(tmp_path, pictures, *THREE_PHASES, *TWO_RANKS, fail)
    assert str(raised.value).endswith("RuntimeError: " + "x" * 1_000_000 + "\n")


def test_fewer_validation_pictures_than_ranks_are_refused(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 validation pictures for 2 ranks"):
        train_small(tmp_path, pictures, *THREE_PHASES, *TWO_RANKS, "data.valid_pct=0.03")


@pytest.mark.fault("Several processes and clusters", "A rank is killed", "The others end, and it is named")
@pytest.mark.usefixtures("alarm")
def test_a_killed_rank_ends_the_other_and_is_named(pictures: Path, tmp_path: Path) -> None:
    typed = [
        *SMALL,
        f"data.root={pictures}",
        *THREE_PHASES,
        *TWO_RANKS,
        KILL_RANK_1,
    ]
    prepare(composed(typed, tmp_path), tmp_path, typed)
    with pytest.raises(RankError, match=r"rank 1 ended by SIGKILL|rank 0 failed"):
        run_ranks(tmp_path, 2)


@pytest.mark.parametrize(
    "cause", [Failure("killed", 2, "ended by SIGKILL"), Failure("preempted", 75, "ended by SIGTERM")]
)
def test_of_two_ranks_that_failed_the_cause_is_not_the_one_that_lost_the_other(cause: Failure) -> None:
    lost = Failure("killed", 2, "another rank was killed or failed", "Traceback")
    assert first_cause({0: lost, 1: cause}) == 1
    assert first_cause({0: lost, 1: lost}) == 0


@pytest.mark.fault(
    "Several processes and clusters", "A loss is NaN on one rank", "All end, with its sentence"
)
@pytest.mark.usefixtures("alarm")
def test_a_loss_that_is_no_number_on_one_rank_ends_all_with_one_sentence(
    pictures: Path, tmp_path: Path
) -> None:
    spoil = "+callbacks.spoil={_target_: probes.NotFiniteOnRank, rank: 1}"
    with pytest.raises(
        RunError, match=r"^rank 1: the training loss is nan at epoch 1, batch 0 of phase start"
    ):
        train_small(tmp_path, pictures, *THREE_PHASES, *TWO_RANKS, spoil)


@pytest.mark.long
def test_the_data_workers_of_a_killed_rank_end_too(pictures: Path, tmp_path: Path) -> None:
    probes = ["+callbacks.children={_target_: probes.Children}", KILL_RANK_1]
    reading = ["++schedule.phases.start.precompute=false", "data.num_workers=1"]
    with pytest.raises(RankError):
        train_small(tmp_path, pictures, *THREE_PHASES, *TWO_RANKS, *probes, *reading)
    files = list(tmp_path.glob("children-*.json"))
    pids = [pid for file in files for pid in json.loads(file.read_text())]
    assert len(files) == 2 and len(pids) >= 2
    # A worker looks for its parent every five seconds.
    _wait_for_the_end(pids)


@pytest.mark.long
@pytest.mark.fault(
    "Several processes and clusters", "The process that started the ranks is killed", "They end"
)
def test_ranks_end_when_their_parent_is_killed(pictures: Path, tmp_path: Path) -> None:
    typed = [
        *SMALL,
        f"data.root={pictures}",
        *THREE_PHASES,
        *TWO_RANKS,
        "+callbacks.wait={_target_: probes.WaitForEver}",
    ]
    prepare(composed(typed, tmp_path), tmp_path, typed)
    table_of_run(tmp_path, read_run_config(tmp_path))
    parent = multiprocessing.get_context("spawn").Process(target=run_ranks, args=(tmp_path, 2))
    parent.start()
    pids = _pids(tmp_path, 2)
    assert parent.pid is not None
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    _wait_for_the_end(pids)


@pytest.mark.parametrize(
    ("node", "ranks"),
    [
        ({"devices": 1, "accelerator": "cpu"}, 1),
        ({"devices": 2, "accelerator": "cpu"}, 2),
        ({"devices": "2", "accelerator": "gpu"}, 2),
        ({"devices": [0, 3], "accelerator": "gpu"}, 2),
        ({"devices": "auto", "accelerator": "cpu"}, 1),
    ],
)
def test_a_trainer_node_says_how_many_ranks_there_are(node: dict, ranks: int) -> None:
    assert num_ranks(node) == ranks


def _pids(run_dir: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        files = list(run_dir.glob("pid-*"))
        if len(files) == count and all(file.read_text() for file in files):
            return [int(file.read_text()) for file in files]
        time.sleep(0.05)
    raise AssertionError("the ranks never started")


def _wait_for_the_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(pid) for pid in pids)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
