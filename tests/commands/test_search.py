"""The config of a learning-rate search: one phase alone, its rate to be found."""

import pytest

from imageclf import InputError
from imageclf.commands.lr_find import LrFindConfig, one_phase
from imageclf.configs import to_plain
from imageclf.launch.start import check_top
from imageclf.training.parts.accelerator import num_ranks
from imageclf.training.run_config import RunConfig, parse


@pytest.fixture
def searched(composed, tiny):
    return lambda *overrides: one_phase(
        parse(to_plain(composed(*tiny, *overrides, name="lr_find")), LrFindConfig)
    )


@pytest.mark.parametrize(("overrides", "name"), [([], "head"), (["phase=finetune"], "finetune")])
def test_the_phase_is_the_first_one_or_the_one_that_is_named(searched, overrides, name):
    config, phase = searched(*overrides)
    assert (phase, list(config.schedule.phases)) == (name, [name])


def test_the_phase_keeps_all_but_its_rate(searched):
    phase = searched("phase=finetune")[0].schedule.phases["finetune"]
    assert (phase.lr, phase.lr_ratio, phase.unfreeze_to) == ("auto", 3.0, 0)


def test_a_phase_that_is_not_there_is_refused_with_those_that_are(searched):
    with pytest.raises(InputError) as refused:
        searched("phase=tail")
    assert str(refused.value) == "phase=tail: there is no such phase; the schedule has head and finetune"


def test_a_list_of_rates_is_refused_with_what_to_give_instead(searched):
    with pytest.raises(InputError, match=r"give schedule\.phases\.head\.lr=auto and lr_ratio"):
        searched("schedule.phases.head.lr=[1e-4, 1e-3, 1e-2]")


def test_a_search_writes_no_checkpoints(searched):
    config, _ = searched()
    assert not {"checkpoint", "snapshots", "tta", "history", "report"} & set(config.callbacks)


def test_a_search_writes_no_logs(tiny, command, tmp_path):
    quick = ["callbacks.lr_finder.num_steps=6", "logger=tensorboard"]
    assert command("lr_find", *tiny, *quick, f"hydra.run.dir={tmp_path}").code == 0
    assert [path for path in tmp_path.rglob("*") if "tfevents" in path.name] == []


@pytest.mark.parametrize(
    ("trainer", "ranks"),
    [
        ({"devices": 1}, 1),
        ({}, 1),
        ({"devices": 3}, 3),
        ({"devices": "2"}, 2),
        ({"devices": [0, 1]}, 2),
        ({"devices": [3]}, 1),
        ({"devices": "auto", "accelerator": "cpu"}, 1),
        ({"devices": -1, "accelerator": "cpu"}, 1),
    ],
)
def test_the_number_of_ranks_is_that_of_the_devices(trainer, ranks):
    assert num_ranks(trainer) == ranks


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("metric", "wrong", "right"),
    [
        ("val/acc", "minimize", "maximize"),
        ("val/loss", "maximize", "minimize"),
        ("val/ece", "maximize", "minimize"),
    ],
)
def test_a_sweeper_that_would_look_for_the_worst_run_is_refused(composed, tiny, metric, wrong, right):
    chosen = [*tiny, "metrics=all", f"optimized_metric={metric}"]
    check_top(parse(to_plain(composed(*chosen, f"+hydra.sweeper.direction={right}")), RunConfig))
    config = parse(to_plain(composed(*chosen, f"+hydra.sweeper.direction={wrong}")), RunConfig)
    with pytest.raises(InputError) as refused:
        check_top(config)
    said = f"hydra.sweeper.direction={wrong} looks for the worst optimized_metric={metric}: give "
    assert str(refused.value) == f"{said}hydra.sweeper.direction={right}"
