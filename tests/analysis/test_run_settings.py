"""In which settings runs differ, and what these are called."""

import doctest

import pandas as pd
import pytest
from run_records import record

from imageclf.analysis import run_settings, runs_table
from imageclf.analysis.run_settings import (
    UNKNOWN,
    differing_settings,
    setting_text,
    short_names,
    with_options,
)


@pytest.mark.parametrize("module", [run_settings, runs_table])
def test_the_examples_in_the_docstrings_are_right(module):
    tried = doctest.testmod(module)
    assert tried.attempted > 0
    assert tried.failed == 0


def test_a_setting_that_all_runs_share_is_left_out():
    runs = [record(config={"seed": seed, "data": {"size": 64}}) for seed in (1, 2)]
    assert differing_settings(runs).to_dict("list") == {"seed": ["1", "2"]}


def test_a_key_that_a_run_does_not_have_is_blank():
    runs = [record(config={"trainer": {"precision": "bf16"}}), record(config={"trainer": {"devices": 1}})]
    assert differing_settings(runs)["trainer.precision"].tolist() == ["bf16", ""]


def test_a_name_and_a_class_in_its_place_are_in_one_column():
    nodes = [{"_target_": "my.Net", "depth": 2}, "resnet18", {"_target_": "my.Net", "depth": 3}]
    table = differing_settings([record(config={"model": {"backbone": node}}) for node in nodes])
    assert table.to_dict("list") == {
        "model.backbone": ["my.Net", "resnet18", "my.Net"],
        "model.backbone.depth": ["2", "", "3"],
    }


def test_of_a_run_that_never_began_the_class_in_place_of_a_name_is_shown():
    runs = [record(config={"model": {"backbone": name}}) for name in ("resnet18", "resnet34")]
    runs.append(record(config={"model": {"backbone": {"_target_": "my.Net"}}}, accuracies=()))
    assert differing_settings(runs)["model.backbone"].tolist() == ["resnet18", "resnet34", "my.Net"]


def test_keys_that_follow_from_an_option_are_left_out():
    runs = [
        record(config={"schedule": {"phases": {"head": {"cycle_len": length}}}}, choices={"schedule": name})
        for name, length in (("quick", 1), ("minimal", 5), ("quick", 1))
    ]
    assert list(differing_settings(runs).columns) == ["schedule"]


def test_a_key_that_differs_within_an_option_is_kept():
    runs = [
        record(config={"schedule": {"phases": {"head": {"lr": lr}}}}, choices={"schedule": name})
        for name, lr in (("quick", 0.1), ("minimal", 0.1), ("quick", 0.2))
    ]
    assert list(differing_settings(runs).columns) == ["schedule", "schedule.phases.head.lr"]


@pytest.mark.parametrize(("length", "columns"), [(1, ["schedule"]), (9, ["schedule", "schedule.length"])])
def test_a_run_whose_options_are_unknown_shows_only_keys_of_no_known_option(length, columns):
    runs = [
        record(config={"schedule": {"length": each}}, choices=choices)
        for each, choices in ((1, {"schedule": "quick"}), (5, {"schedule": "minimal"}), (length, {}))
    ]
    table = differing_settings(runs)
    assert list(table.columns) == columns
    assert table["schedule"].tolist() == ["quick", "minimal", UNKNOWN]


def test_an_unknown_option_is_that_of_a_run_with_the_same_keys_of_the_group():
    known = {"schedule": "quick", "experiment": "None"}
    runs = with_options(
        [
            record(config={"schedule": {"length": 1}, "seed": 1}, choices=known),
            record(config={"schedule": {"length": 1}, "seed": 2}),
            record(config={"schedule": {"length": 2}}),
        ]
    )
    assert [run.choices["schedule"] for run in runs] == ["quick", "quick", UNKNOWN]
    assert runs[1].choices["experiment"] == UNKNOWN


def test_a_key_that_only_a_refused_run_names_is_left_out():
    refused = record(config={"data": {"sise": 1}}, status="input", accuracies=(), metrics=pd.DataFrame())
    assert differing_settings([record(config={"seed": 1}), refused]).empty


def test_an_option_explains_no_key_of_another_group():
    runs = [
        record(config={"model": {"groups": groups}}, choices={"schedule": name})
        for name, groups in (("quick", 3), ("minimal", 4))
    ]
    assert list(differing_settings(runs).columns) == ["schedule", "model.groups"]


def test_an_experiment_explains_keys_of_every_group():
    runs = [
        record(config={"model": {"groups": groups}, "experiment": name}, choices={"experiment": name})
        for name, groups in (("dogs", 3), ("cats", 4))
    ]
    assert list(differing_settings(runs).columns) == ["experiment"]


@pytest.mark.parametrize("key", ["logger", "ckpt_path", "extras", "tags", "task_name", "optimized_metric"])
def test_what_changes_nothing_of_the_training_is_no_setting(key):
    assert differing_settings([record(config={key: value}) for value in ("a", "b")]).empty


def test_a_run_whose_config_cannot_be_read_makes_no_difference():
    runs = [record(config={"seed": 1}), record(config={}), record(config={"seed": UNKNOWN})]
    assert differing_settings(runs).empty
    runs.append(record(config={"seed": 2}))
    assert differing_settings(runs)["seed"].tolist() == ["1", UNKNOWN, UNKNOWN, "2"]


def test_zero_is_the_same_setting_as_a_whole_number_and_not():
    assert differing_settings([record(config={"lr": zero}) for zero in (0, 0.0)]).empty


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.1 + 0.2, "0.3"),
        (1e-4, "0.0001"),
        ([1e-4, 1.0], "[0.0001,1]"),
        ("a b", "a b"),
        (None, "null"),
    ],
)
def test_numbers_that_are_the_same_setting_have_the_same_text(value, text):
    assert setting_text(value) == text


def test_keys_that_end_alike_keep_what_tells_them_apart():
    keys = ["schedule.phases.a.lr", "schedule.phases.b.lr", "data.size", "schedule.phases.a.size"]
    assert list(short_names(keys).values()) == ["a.lr", "b.lr", "data.size", "a.size"]


def test_a_key_that_ends_another_keeps_its_name():
    assert short_names(["size", "data.size"]) == {"size": "size", "data.size": "data.size"}
