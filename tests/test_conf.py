"""Every YAML of conf/: it composes, what it names can be built, and it says nothing twice."""

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import timm
import torch
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.callbacks import Report
from imageclf.commands.batch_size import BatchSizeConfig
from imageclf.commands.cache import CacheOptions
from imageclf.commands.collect import CollectOptions
from imageclf.commands.export import ExportOptions
from imageclf.commands.lr_find import LrFindConfig
from imageclf.commands.predict_options import PredictOptions
from imageclf.commands.prefetch import PrefetchOptions
from imageclf.configs import CONF_DIR, instantiate, locate_target, to_plain
from imageclf.configs.quoting import with_own_nodes
from imageclf.data import Augmentation
from imageclf.model.module import ClassifierModule
from imageclf.schedule import Phase, RunState, Schedule
from imageclf.tasks import Multilabel, Regression
from imageclf.training.build import (
    build_callbacks,
    build_parts,
    build_trainer,
)
from imageclf.training.check_keys import check
from imageclf.training.check_values import OUR_CALLBACKS
from imageclf.training.parts.metrics import build_metrics
from imageclf.training.parts.module import build_loss, build_module
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse

CONF = Path(CONF_DIR)
# What a developer keeps in conf/local is not the project's.
FILES = sorted(path for path in CONF.rglob("*.yaml") if path.parent.name != "local" or path.stem == "example")
# Files that others inherit: they are no options by themselves.
PARTIAL = ("shared", "phase")
COMMANDS = {
    "train": ("train", CONF_DIR, RunConfig),
    "plan": ("plan", CONF_DIR, RunConfig),
    "lr-find": ("lr_find", CONF_DIR, LrFindConfig),
    "batch-size": ("batch_size", CONF_DIR, BatchSizeConfig),
    "predict": ("predict", f"{CONF_DIR}/commands", PredictOptions),
    "analyse": ("analyse", CONF_DIR, RunConfig),
    "prefetch": ("prefetch", CONF_DIR, PrefetchOptions),
    "cache": ("cache", f"{CONF_DIR}/commands", CacheOptions),
    "collect": ("collect", f"{CONF_DIR}/commands", CollectOptions),
    "export": ("export", f"{CONF_DIR}/commands", ExportOptions),
}
GROUPS = (
    "data",
    "transforms",
    "model",
    "model/loss",
    "model/optimizer",
    "schedule",
    "callbacks",
    "callbacks/lr_finder",
    "metrics",
    "analysis",
    "trainer",
    "logger",
    "cluster",
    "task",
    "hydra/launcher",
    "hydra/sweeper",
    "experiment",
    "hparams_search",
    "local",
    "debug",
)
GROUPS_BY_FLOOR = {"transforms": "data", "metrics": "model", "task": "tasks"}
OF_LABELS = ("asymmetric", "bce_multilabel")
OF_NUMBERS = ("huber", "l1", "mse")
BIG = ("resnext50", "resnext101")
THREE_GROUPS = ("body0", "body1", "head")
COMMAND = re.compile(r"imageclf-([a-z-]+)((?: (?:-m|~[\w.]+|\+?[\w./]+=[^\s:;]+))*)")


def name_of(path: Path) -> str:
    return path.relative_to(CONF).with_suffix("").as_posix()


def options(group: str) -> list[str]:
    return [path.stem for path in FILES if path.parent == CONF / group and path.stem not in PARTIAL]


def header(path: Path) -> str:
    """Return the comment that a file opens with, as one line, without Hydra's own header."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("# @")]
    end = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return " ".join(line.lstrip("# ") for line in lines[:end])


def content(path: Path) -> dict[str, Any]:
    return OmegaConf.to_container(OmegaConf.load(path))


def leaves(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return values by dotted key."""
    if not isinstance(node, Mapping):
        return {prefix.rstrip("."): node}
    return {key: value for name in node for key, value in leaves(node[name], f"{prefix}{name}.").items()}


def own_leaves(path: Path) -> dict[str, Any]:
    return leaves({name: value for name, value in content(path).items() if name != "defaults"})


def parents(path: Path) -> list[tuple[Path, str]]:
    """Return the files of its own group, or one below, that a file inherits, and where their keys are put."""
    entries = content(path).get("defaults", [])
    named = [entry.partition("@") for entry in entries if isinstance(entry, str) and entry != "_self_"]
    own = [(path.parent / f"{stem}.yaml", package) for stem, _, package in named]
    chosen = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    below = [(path.parent / group / f"{option}.yaml", group) for group, option in chosen]
    # What is not here is of another group or, of Hydra's launchers, of another package.
    return [(file, package) for file, package in own + below if file.exists()]


def inherited(path: Path) -> dict[str, Any]:
    """Return the values by dotted key that a file gets from its own group."""
    values: dict[str, Any] = {}
    for parent, package in parents(path):
        found = inherited(parent) | own_leaves(parent)
        values |= {f"{package}.{key}".lstrip("."): value for key, value in found.items()}
    return values


@pytest.fixture(scope="module")
def csv_root(dataset, tmp_path_factory) -> Path:
    """The drawn pictures once more, named by labels.csv."""
    root = tmp_path_factory.mktemp("csv")
    rows = ["id,label"]
    for path in sorted(dataset.glob("train/*/*.png")):
        rows.append(f"{path.parent.name}-{path.stem},{path.parent.name}")
        (root / "train").mkdir(exist_ok=True)
        (root / "train" / f"{path.parent.name}-{path.stem}.jpg").write_bytes(path.read_bytes())
    (root / "labels.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def needed(dataset, csv_root):
    """Return a function that gives the overrides which an option cannot do without."""
    roots = {"data/folder": dataset, "data/csv": csv_root}

    def of(group: str, option: str) -> list[str]:
        if group == "experiment":
            return [f"data.root={dataset}"]
        root = roots.get(f"{group}/{option}")
        return [f"data.root={root}"] if root else []

    return of


@pytest.fixture(scope="module")
def config_with(composed, needed):
    """Return a function that composes the training config with one option of one group."""
    return lambda group, option, *more: to_plain(composed(f"{group}={option}", *needed(group, option), *more))


@pytest.fixture(scope="module")
def parsed_with(config_with):
    """Return a function that parses that config."""
    return lambda group, option, *more: parse(config_with(group, option, *more), RunConfig)


def test_every_file_is_found():
    assert len(FILES) > 70


def test_every_folder_is_a_group_that_is_tested():
    folders = {path.parent.relative_to(CONF).as_posix() for path in FILES if path.parent != CONF}
    assert folders == {*GROUPS, "commands"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_opens_with_a_command_that_is_installed(path):
    scripts = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]["scripts"]
    named = COMMAND.findall(header(path))
    assert named, header(path)
    assert {f"imageclf-{command}" for command, _ in named} <= set(scripts)


@pytest.mark.parametrize("path", FILES, ids=name_of)
@pytest.mark.sampled(4)
def test_the_command_that_a_file_opens_with_is_right(path, composed, tmp_path, monkeypatch):
    # What data=PATH names.
    (tmp_path / "PATH").mkdir()
    monkeypatch.chdir(tmp_path)
    commands = COMMAND.findall(header(path))
    assert commands
    for command, arguments in commands:
        name, folder, top = COMMANDS[command]
        # Of a sweep's values the first; a file that needs pictures says so with PATH or DIR.
        overrides = [word.partition(",")[0].rstrip(".") for word in arguments.split() if word != "-m"]
        config = to_plain(composed(*with_own_nodes(overrides), name=name, folder=folder))
        assert check(config, top) is None


@pytest.mark.parametrize(("group", "option"), [(group, name) for group in GROUPS for name in options(group)])
@pytest.mark.sampled(3)
def test_an_option_composes_and_passes_the_check(group, option, config_with):
    assert check(config_with(group, option), RunConfig) is None


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_options(group):
    assert options(group)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_states_no_value_that_it_inherits(path):
    before = inherited(path)
    assert [key for key, value in own_leaves(path).items() if key in before and before[key] == value] == []


def test_inheritance_is_seen_by_the_test_above():
    assert inherited(CONF / "data" / "stamps.yaml")["train"] == "train"
    assert inherited(CONF / "data" / "stamps.yaml")["size"] == 224
    assert inherited(CONF / "schedule" / "quick.yaml")["phases.head.n_cycles"] == 1
    assert inherited(CONF / "model" / "lite0.yaml")["loss.label_smoothing"] == 0.1


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_is_ours_in_a_group_lives_in_the_package_of_its_name(path):
    group = path.relative_to(CONF).parts[0]
    targets = [value for key, value in own_leaves(path).items() if key.rpartition(".")[2] == "_target_"]
    ours = [target for target in targets if target.startswith("imageclf")]
    assert all(target.startswith(f"imageclf.{GROUPS_BY_FLOOR.get(group, group)}.") for target in ours)


def test_every_target_can_be_imported():
    targets = {value for path in FILES for key, value in own_leaves(path).items() if key.endswith("_target_")}
    assert len(targets) > 15
    assert all(callable(locate_target({"_target_": target}, "conf")) for target in targets)


@pytest.mark.parametrize("option", options("transforms"))
def test_transforms_are_an_augmentation(option, config_with):
    assert isinstance(
        instantiate(config_with("transforms", option)["transforms"], "transforms"), Augmentation
    )


@pytest.mark.parametrize("option", options("schedule"))
def test_a_schedule_fits_three_layer_groups(option, parsed_with):
    schedule = parsed_with("schedule", option).schedule
    schedule.check(THREE_GROUPS)
    assert schedule.epochs >= 1


def test_the_keys_of_a_phase_and_their_defaults_are_those_of_the_class():
    assert content(CONF / "schedule" / "phase.yaml") == asdict(Phase())


@pytest.mark.parametrize("option", options("model"))
def test_a_models_backbone_is_known_to_timm(option):
    assert timm.is_model(content(CONF / "model" / f"{option}.yaml")["backbone"])


@pytest.mark.parametrize("option", options("model"))
def test_a_model_is_built(option, parsed_with):
    # The big ones take seconds to draw; all but the backbone's name is theirs.
    smaller = ["model.backbone=test_resnet"] if option in BIG else []
    options = parsed_with("model", option, "model.weights=none", *smaller).model
    module, _ = build_module(options, {"cat": 3, "dog": 4}, {64})
    assert isinstance(module, ClassifierModule)
    assert module.groups.names == THREE_GROUPS


@pytest.mark.parametrize("option", sorted(set(options("model/loss")) - {*OF_LABELS, *OF_NUMBERS}))
def test_a_loss_takes_labels_and_shares_and_weights(option, parsed_with):
    options = parsed_with("model/loss", option, "model.class_weights=sqrt").model
    loss = build_loss(options, {"cat": 3, "dog": 4, "owl": 5})
    for targets in (torch.tensor([0, 2]), torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])):
        assert loss(torch.tensor([[1.0, 0.0, 2.0], [0.5, 3.0, -1.0]]), targets).shape == ()


@pytest.mark.parametrize("option", OF_LABELS)
def test_a_loss_of_several_labels_takes_marks_and_no_class_numbers(option, parsed_with):
    options, counts = parsed_with("model/loss", option).model, {"cat": 3, "dog": 4, "owl": 5}
    marks = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert build_loss(options, counts, Multilabel(), 9)(torch.zeros(2, 3), marks).shape == ()
    with pytest.raises(InputError, match="learns several labels of each picture: give task=multilabel"):
        build_loss(options, counts)


@pytest.mark.parametrize("option", OF_NUMBERS)
def test_a_loss_of_numbers_takes_numbers_and_no_class_numbers(option, parsed_with):
    options, counts = parsed_with("model/loss", option).model, {"age": 3, "height": 3}
    numbers = torch.tensor([[41.0, 1.8], [20.0, 1.5]])
    assert build_loss(options, counts, Regression((30.0, 1.6), (9.0, 0.1)))(numbers, numbers).shape == ()
    with pytest.raises(InputError, match="learns a number of each picture: give task=regression"):
        build_loss(options, counts)


@pytest.mark.parametrize("option", options("model/optimizer"))
def test_an_optimizer_takes_the_groups_of_a_model(option, parsed_with):
    small = ["model.backbone=test_resnet", "model.weights=none"]
    options = parsed_with("model/optimizer", option, *small).model
    groups = build_module(options, {"cat": 3, "dog": 4}, {64})[0].configure_optimizers().param_groups
    assert [group["name"] for group in groups if "/" not in group["name"]] == list(THREE_GROUPS)
    assert {group["weight_decay"] for group in groups} == {0.0, options.optimizer["weight_decay"]}


@pytest.mark.parametrize(("option", "num_classes", "number"), [("none", 3, 0), ("all", 3, 4), ("all", 6, 5)])
def test_metrics_are_built(option, num_classes, number, parsed_with):
    assert len(build_metrics(parsed_with("metrics", option), num_classes)) == number


@pytest.mark.parametrize(("option", "pictures", "classes"), [("folder", 36, 3), ("csv", 24, 3)])
def test_a_data_set_is_read(option, pictures, classes, parsed_with):
    table = read_table(parsed_with("data", option).data)
    assert (len(table), len(table.classes)) == (pictures, classes)


def test_the_demo_has_as_many_pictures_as_its_comment_says(parsed_with):
    said = re.findall(r"\d+", header(CONF / "data" / "stamps.yaml"))
    table = read_table(parsed_with("data", "stamps").data, verify=False)
    assert list(map(str, (len(table), len(table.classes), len(table.rows("valid"))))) == said


def test_the_parts_of_a_run_are_built_from_the_defaults(parsed_with):
    config = parsed_with("data", "folder", "model.weights=none", "data.num_workers=0")
    parts = build_parts(config, read_table(config.data))
    assert list(parts.schedule.phases) == ["head", "augment", "finetune", "bigger"]


def own_callbacks() -> set[str]:
    """Return the names of our callbacks: files, or folders of presets."""
    folders = {path.name for path in (CONF / "callbacks").iterdir() if path.is_dir()}
    return folders | set(options("callbacks")) - {"default"}


def test_the_default_callbacks_are_all_there_are():
    entries = content(CONF / "callbacks" / "default.yaml")["defaults"]
    assert {
        name for entry in entries for name in ([entry] if isinstance(entry, str) else entry)
    } == own_callbacks()


def test_every_callback_of_the_package_has_its_node():
    assert {each.node() for each in OUR_CALLBACKS} - {"callback"} == own_callbacks()


@pytest.mark.parametrize("option", sorted(set(options("callbacks")) - {"default"}))
def test_a_callback_is_built_as_the_class_of_its_name(option, config_with, parsed_with, tmp_path):
    # By itself it is no legal set: others are what the schedule means.
    alone = config_with("callbacks", option)["callbacks"]
    schedule = Schedule({"head": Phase(lr=1e-3)})
    config = replace(parsed_with("callbacks", "default"), callbacks=alone, schedule=schedule)
    built = build_callbacks(config, RunState(), tmp_path, ends=option == "report")
    ours = built if option != "report" else [each for each in built if isinstance(each, Report)]
    assert [type(each).__name__.lower() for each in ours] == [option.replace("_", "")]


@pytest.mark.parametrize("option", ["auto", "cpu", "ddp"])
def test_a_trainer_is_built(option, parsed_with, tmp_path):
    trainer = build_trainer(parsed_with("trainer", option).trainer, 3, tmp_path, [])
    assert isinstance(trainer, lightning.Trainer)
    assert trainer.max_epochs == 3


def test_the_csv_logger_adds_nothing_to_what_every_run_writes(config_with):
    assert config_with("logger", "csv")["logger"] == {}


@pytest.mark.parametrize(
    ("option", "built"),
    [
        ("tensorboard", "TensorBoardLogger"),
        ("wandb", "WandbLogger"),
        pytest.param("mlflow", "MLFlowLogger", marks=pytest.mark.long),
    ],
)
def test_a_logger_is_built(option, built, config_with):
    node = config_with("logger", option)["logger"][option]
    assert type(instantiate(node, f"logger.{option}")).__name__ == built


def test_every_command_of_the_page_on_loggers_composes_and_passes_the_check(composed):
    page = (Path(CONF_DIR).parent / "docs/loggers.md").read_text(encoding="utf-8")
    commands = re.findall(r"^imageclf-train (.*)$", page, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        words = [word for word in shlex.split(command) if word != "data=photos"]
        check(to_plain(composed(*words)), RunConfig)


def test_many_loggers_are_all_but_the_csv(config_with):
    assert set(config_with("logger", "many")["logger"]) == set(options("logger")) - {"csv", "many"}


@pytest.mark.parametrize(
    ("option", "backbone", "sizes", "lrs"),
    [
        ("dogs_vs_cats", "resnet34", {224, 299}, "auto"),
        ("dogs_vs_cats_resnext50", "resnext50_32x4d", {299}, "auto"),
        ("dog_breeds", "resnext101_64x4d", {224, 299}, "auto"),
        ("planet", "resnet34", {128, 256}, "auto"),
        ("chest_xray", "resnet34", {128, 224}, "auto"),
    ],
)
def test_an_experiment_trains_the_lessons_model_at_the_lessons_sizes(
    option, backbone, sizes, lrs, config_with
):
    config = config_with("experiment", option)
    phases = config["schedule"]["phases"]
    assert config["model"]["backbone"] == backbone
    assert {phase["size"] or config["data"]["size"] for phase in phases.values()} == sizes
    assert phases["head"]["lr"] == lrs


@pytest.mark.parametrize("option", options("experiment"))
def test_an_experiment_names_itself(option, config_with):
    assert config_with("experiment", option)["experiment"] == option
