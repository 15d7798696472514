"""What a replaced `_target_` leaves behind goes; what the user gave stays."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from imageclf.configs import CONF_DIR
from imageclf.configs.found.source import offer
from imageclf.configs.plain import select
from imageclf.configs.quoting import with_own_nodes
from imageclf.configs.replaced import drop_replaced, left_behind

Composed = Callable[..., Any]
MSE = "model.loss._target_=torch.nn.MSELoss"


@pytest.fixture
def value(tmp_path: Path) -> Composed:
    """Return a function that composes as the command does, and returns the value of a key.

    An experiment of the user's own may be among what is composed.
    """
    (tmp_path / "experiment").mkdir()

    def run(key: str, *typed: str, experiment: str | None = None) -> Any:
        if experiment is not None:
            (tmp_path / "experiment/mine.yaml").write_text(f"# @package _global_\n{experiment}")
            typed = (f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine", *typed)
        offer(typed)
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            cfg = compose("train", overrides=with_own_nodes(typed), return_hydra_config=True)
            drop_replaced(cfg, cfg.hydra, GlobalHydra.instance().config_loader())
        return select(OmegaConf.to_container(cfg, resolve=False), key)  # type: ignore[arg-type]

    return run


def test_nothing_changes_where_no_class_is_replaced(value: Composed) -> None:
    assert value("model.loss") == {"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1}


def test_a_key_of_the_class_before_goes_with_it_and_the_log_says_so(
    value: Composed, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert value("model.loss", MSE) == {"_target_": "torch.nn.MSELoss"}
    assert caplog.messages == [
        "model.loss._target_=torch.nn.MSELoss takes no label_smoothing: "
        "what belongs to the class before it is left out"
    ]


def test_a_key_that_the_new_class_takes_stays(value: Composed) -> None:
    node = value("model.optimizer", "model.optimizer._target_=torch.optim.SGD")
    assert node["weight_decay"] == value("model.optimizer.weight_decay")
    assert "betas" not in node


def test_a_key_that_was_typed_stays_even_with_the_value_of_before(value: Composed) -> None:
    assert "label_smoothing" in value("model.loss", MSE, "model.loss.label_smoothing=0.1")
    assert "label_smoothing" in value(
        "model.loss", "model.loss={_target_: torch.nn.MSELoss, label_smoothing: 0.1}"
    )


def test_a_key_that_an_experiment_gives_stays(value: Composed) -> None:
    alone = "model:\n  loss:\n    label_smoothing: 0.1\n"
    assert "label_smoothing" in value("model.loss", MSE, experiment=alone)
    together = alone + "    _target_: torch.nn.MSELoss\n"
    assert "label_smoothing" in value("model.loss", experiment=together)


def test_an_experiment_that_replaces_a_class_drops_its_keys(value: Composed) -> None:
    experiment = "model:\n  loss:\n    _target_: torch.nn.MSELoss\n    reduction: sum\n"
    assert value("model.loss", experiment=experiment) == {"_target_": "torch.nn.MSELoss", "reduction": "sum"}


def test_a_group_option_whose_class_is_replaced_leaves_its_keys_behind(value: Composed) -> None:
    assert value("model.loss", "model/loss=focal", MSE) == {"_target_": "torch.nn.MSELoss"}


def test_a_source_of_the_users_own_keeps_how_pictures_are_split_and_loaded(
    value: Composed, pictures: Path
) -> None:
    node = value("data", f"data={pictures}", "data._target_=fractions.Fraction")
    assert {"root", "train", "valid", "test"} & {*node} == set()
    assert {"valid_pct", "size", "cache"} <= {*node}


def test_weights_of_a_name_do_not_stay_for_a_class(value: Composed) -> None:
    own = "model.backbone._target_=torchvision.models.resnet18"
    assert value("model.weights", own) == "none"
    assert value("model.weights", own, "model.weights=hub") == "hub"
    assert value("model.weights", own, "model.weights=file.pt") == "file.pt"


@pytest.mark.parametrize(
    ("group", "typed"),
    [
        ("callbacks", "{group}.mine._target_=m.C {group}.mine.a=1"),
        ("logger", "{group}.mine={{_target_:m.C,a:1}}"),
    ],
)
def test_a_node_of_the_users_own_needs_no_plus(value: Composed, group: str, typed: str) -> None:
    assert value(f"{group}.mine", *typed.format(group=group).split()) == {"_target_": "m.C", "a": 1}


def test_a_key_is_left_behind_only_with_every_class_that_it_came_along_with() -> None:
    files = [{"n._target_": "A", "n.a": 1, "n.b": 1}, {"n.b": 2}, {"n._target_": "B", "n.c": 1}]
    assert left_behind(files, "n", ["a", "b", "c"]) == ["a"]
    assert left_behind([*files, {"n._target_": "C"}], "n", ["a", "b", "c"]) == ["a", "c"]
    assert left_behind([*files, {"n._target_": "A"}], "n", ["a", "b", "c"]) == ["c"]
