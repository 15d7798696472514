"""The run directory: made once, refused when it holds a run, gone on with on demand."""

import functools
import os
from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.configs import load_config, read_object, to_plain
from imageclf.configs.plain import to_yaml
from imageclf.training.directory import prepare

HERE = "hydra.run.dir=."


@pytest.fixture
def start(composed, tiny, tmp_path):
    """Return a function that prepares a run directory with what a user typed."""

    def run(*typed: str, run_dir: Path = tmp_path / "run") -> bool:
        run_dir.mkdir(exist_ok=True)
        overrides = [each for each in typed if not each.startswith("hydra.")]
        return prepare(composed(*tiny, *typed), run_dir, overrides)

    return run


@pytest.fixture
def started(start, tmp_path) -> Path:
    """Return the directory of a run that has done an epoch."""
    start()
    (tmp_path / "run" / "metrics.csv").write_text("epoch,phase\n0,head\n")
    return tmp_path / "run"


def test_a_new_directory_gets_the_config(start, composed, tiny, tmp_path):
    assert start("seed=3") is True
    assert load_config(tmp_path / "run" / "config.yaml") == to_plain(composed(*tiny, "seed=3"))


def test_a_new_directory_holds_nothing_else(start, tmp_path):
    start()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


@pytest.mark.fault("Going on", "A new run is started in the directory of another", "It is refused")
def test_a_directory_that_holds_a_run_is_refused(start, started):
    with pytest.raises(InputError) as refused:
        start()
    assert str(refused.value).startswith(f"{started} holds a run already: continue it with ckpt_path=auto")


def test_a_directory_that_holds_a_run_is_not_for_another_checkpoint(start, started):
    with pytest.raises(InputError, match="holds a run already"):
        start("ckpt_path=other/last.ckpt")


def test_a_run_goes_on_by_auto(start, started):
    assert start("ckpt_path=auto", HERE) is True


@pytest.mark.parametrize("overrides", [[], ["seed=42"], ["schedule=quick", "data.size=32"]])
def test_a_run_that_goes_on_as_it_was_keeps_its_config(start, started, overrides):
    before = (started / "config.yaml").read_bytes()
    start("ckpt_path=auto", HERE, *overrides)
    assert (started / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("trainer.devices=[0]", ("trainer", "devices"), [0]),
        ("data.num_workers=3", ("data", "num_workers"), 3),
        ("optimized_metric=val/loss", ("optimized_metric",), "val/loss"),
        ("+trainer.num_nodes=1", ("trainer", "num_nodes"), 1),
    ],
)
def test_a_run_that_goes_on_takes_over_what_may_differ_and_nothing_else(start, started, override, key, value):
    expected = load_config(started / "config.yaml")
    start("ckpt_path=auto", HERE, override)
    *path, name = key
    functools.reduce(dict.__getitem__, path, expected)[name] = value
    assert load_config(started / "config.yaml") == expected


def test_a_logger_may_be_added_when_a_run_goes_on(start, started):
    start("ckpt_path=auto", HERE, "logger=tensorboard")
    assert list(load_config(started / "config.yaml")["logger"]) == ["tensorboard"]


def test_a_run_of_an_earlier_version_goes_on_by_the_command_that_began_it(start, started):
    typed = ("schedule=quick", "trainer=cpu", "model=tf_efficientnet_lite0")
    config = load_config(started / "config.yaml")
    for node, key in ((config, "task"), (config, "lr_scaling"), (config["trainer"], "sync_batchnorm")):
        del node[key]
    del config["trainer"]["benchmark"]
    config["model"]["channels_last"] = True
    for phase in config["schedule"]["phases"].values():
        del phase["ema"]
    (started / "config.yaml").write_text(to_yaml(config))
    assert start("ckpt_path=auto", HERE, *typed) is True
    with pytest.raises(InputError, match=r"trainer\.sync_batchnorm=false \(now true\)"):
        start("ckpt_path=auto", HERE, *typed, "trainer.sync_batchnorm=true")


def test_a_new_run_is_refused_a_checkpoint_that_is_not_there(start):
    with pytest.raises(InputError, match=r"^ckpt_path=nowhere/last\.ckpt: there is no such file"):
        start("ckpt_path=nowhere/last.ckpt")


def test_a_new_run_may_start_from_a_checkpoint(start, finished_run):
    assert start(f"ckpt_path={finished_run}/checkpoints/previous.ckpt") is True


def test_a_finished_run_has_nothing_left_to_do(start, started):
    (started / "summary.json").write_text('{"val/acc": 0.5}')
    assert start("ckpt_path=auto", HERE) is False


def test_a_summary_is_read(started):
    (started / "summary.json").write_text('{"val/acc": 0.5, "classes": ["a"]}')
    assert read_object(started / "summary.json") == {"val/acc": 0.5, "classes": ["a"]}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("seed=43", "seed=42 (now 43)"),
        ("data.batch_size=4", "data.batch_size=8 (now 4)"),
        ("schedule.phases.head.lr=0.5", "schedule.phases.head.lr=0.01 (now 0.5)"),
        (
            "schedule=onecycle",
            "schedule.phases.head.lr=0.01 (now 0.002), schedule.phases.head.augment=false (now true)",
        ),
        ("transforms=none", "transforms.max_rotate=10 (now 0), transforms.p_rotate=0.75 (now 0)"),
        ("trainer=ddp", "trainer.accelerator=cpu (now auto)"),
        ("trainer.precision=bf16-mixed", "trainer.precision=auto (now bf16-mixed)"),
        ("+trainer.limit_train_batches=2", "no trainer.limit_train_batches (now 2)"),
        ("~callbacks.tta", "callbacks.tta={...} (now none)"),
        ("+schedule.phases.extra={n_cycles: 2}", "no schedule.phases.extra (now {...})"),
        ("model.weights=hub", "model.weights=none (now hub)"),
    ],
)
@pytest.mark.sampled(4)
@pytest.mark.fault("Going on", "A run goes on with other values", "Each is named, with the value before")
def test_another_value_than_the_run_was_started_with_is_named(start, started, override, said):
    with pytest.raises(InputError) as refused:
        start("ckpt_path=auto", HERE, override)
    assert str(refused.value).startswith(f"{started} was started with {said}")
    assert "; only ckpt_path, cluster, extras, tags, trainer.devices, " in str(refused.value)


def test_every_other_value_is_named_and_no_equal_one(start, started):
    with pytest.raises(InputError) as refused:
        start("ckpt_path=auto", HERE, "seed=43", "data.size=32", "data.resize=pad", "trainer.devices=[1]")
    assert "was started with seed=42 (now 43), data.resize=crop (now pad): leave out what" in str(
        refused.value
    )


def test_many_other_values_are_counted(start, started):
    with pytest.raises(InputError, match=r"\(now 0\) and \d more: leave out"):
        start("ckpt_path=auto", HERE, "transforms=none", "model=resnet34")


@pytest.fixture
def unbegun(start, tmp_path) -> Path:
    """Return the directory of a run that was refused after it had read its pictures."""
    start("seed=1", "data.test=tset")
    for name in ("split.csv", "lr_find/head.json", "train.log", "failed.json"):
        (tmp_path / "run" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "run" / name).touch()
    (tmp_path / "run" / "metrics.csv").write_text("epoch,phase\n")
    return tmp_path / "run"


@pytest.mark.parametrize("auto", [(), ("ckpt_path=auto", HERE)])
def test_a_run_without_an_epoch_starts_anew_by_the_corrected_command(start, unbegun, auto, composed, tiny):
    assert start("seed=1", "data.test=valid", *auto) is True
    expected = to_plain(composed(*tiny, "seed=1", "data.test=valid", *auto[:1]))
    assert load_config(unbegun / "config.yaml") == expected


def test_a_run_that_starts_anew_keeps_its_logs_and_nothing_made_for_the_old_config(start, unbegun):
    start("seed=1", "data.test=valid")
    assert sorted(path.name for path in unbegun.iterdir()) == ["config.yaml", "failed.json", "train.log"]


def test_a_run_without_an_epoch_goes_on_by_auto_alone(start, unbegun):
    before = (unbegun / "config.yaml").read_bytes()
    assert start("ckpt_path=auto", HERE) is True
    assert (unbegun / "config.yaml").read_bytes() == before
    assert (unbegun / "split.csv").exists()


@pytest.mark.parametrize("kept", ["checkpoints/last.ckpt", "snapshots/head-0.ckpt", "summary.json"])
def test_whatever_a_run_has_done_is_kept(start, unbegun, kept):
    (unbegun / kept).parent.mkdir(exist_ok=True)
    (unbegun / kept).write_text("{}")
    with pytest.raises(InputError, match="holds a run already"):
        start("seed=1", "data.test=valid")


@pytest.mark.parametrize(
    "override",
    [
        "seed=42",
        "schedule=quick",
        "trainer=cpu",
        "data.num_workers=2",
        "trainer.devices=1",
        "trainer.devices=[1]",
        "+trainer.num_nodes=1",
        "logger=tensorboard",
        "optimized_metric=val/loss",
    ],
)
@pytest.mark.sampled(4)
def test_what_does_not_change_the_result_may_differ(start, started, override):
    assert start("ckpt_path=auto", HERE, override) is True


@pytest.mark.parametrize(
    ("typed", "ranks"),
    [
        (["trainer.devices=2"], 2),
        (["trainer.devices=[0, 1]"], 2),
        (["+trainer.num_nodes=2"], 2),
        (["trainer.devices=2", "+trainer.num_nodes=2"], 4),
    ],
)
@pytest.mark.sampled(2)
@pytest.mark.fault(
    "Going on", "A run goes on with another number of ranks", "It is refused: its batches would change"
)
def test_a_run_does_not_go_on_with_another_number_of_ranks(start, started, typed, ranks):
    with pytest.raises(InputError) as refused:
        start("ckpt_path=auto", HERE, *typed)
    given = " ".join(each.lstrip("+") for each in typed)
    assert str(refused.value) == (
        f"{started} was started on 1 ranks, and {given} makes {ranks}: its batches would change; "
        "go on with 1, or start a new run, with data.global_batch_size if its ranks are to change"
    )


def test_devices_and_nodes_may_be_dealt_anew_among_as_many_ranks(start, tmp_path):
    start("trainer=ddp", "trainer.devices=4", "+trainer.num_nodes=1")
    again = ["trainer=ddp", "trainer.devices=2", "+trainer.num_nodes=2"]
    assert start("ckpt_path=auto", HERE, *again) is True
    trainer = load_config(tmp_path / "run" / "config.yaml")["trainer"]
    assert (trainer["devices"], trainer["num_nodes"]) == (2, 2)


@pytest.mark.parametrize("place", ["hydra.run.dir=x", "hydra.sweep.dir=x"])
def test_auto_in_a_new_directory_that_was_chosen_is_a_fresh_start(start, place):
    assert start("ckpt_path=auto", place) is True


def test_auto_without_a_directory_says_that_there_is_no_run(start):
    with pytest.raises(InputError) as refused:
        start("ckpt_path=auto")
    assert str(refused.value) == "ckpt_path=auto needs hydra.run.dir=PATH: there is no run here yet"


def test_auto_without_a_directory_names_the_newest_run(start, tmp_path):
    for age, name in enumerate(("newest", "older", "oldest")):
        start(run_dir=tmp_path / name)
        (tmp_path / name / "plan.csv").touch()
        os.utime(tmp_path / name / "plan.csv", (10**9 - age, 10**9 - age))
    with pytest.raises(InputError) as refused:
        start("ckpt_path=auto")
    assert str(refused.value).endswith(f"the newest run here is {tmp_path / 'newest'}")


def test_a_secret_stops_the_run_before_anything_is_written(start, tmp_path):
    node = "+logger.mine={_target_: lightning.pytorch.loggers.CSVLogger, save_dir: x, api_key: abc}"
    with pytest.raises(InputError, match="api_key looks like a secret"):
        start(node)
    assert list((tmp_path / "run").iterdir()) == []


def test_a_requeued_job_goes_on_whatever_its_command_said(start, started, monkeypatch):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    assert start() is True
