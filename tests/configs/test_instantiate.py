"""The wrapper around hydra.utils.instantiate: what it hands over, and how a refusal reads."""

from dataclasses import dataclass
from typing import Any

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from imageclf import InputError
from imageclf.configs import instantiate, locate_target
from imageclf.configs.instantiate import parameters_of
from imageclf.schedule import Phase, Schedule


@dataclass(frozen=True)
class Part:
    """What a config may name."""

    size: int
    schedule: Any = None
    run_dir: Any = None


class Anything:
    """Takes whatever it is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class Speechless:
    """Refuses without a word."""

    def __init__(self) -> None:
        raise ValueError


def refusing(error: str, what: type[Exception] = ValueError) -> None:
    raise {"value": ValueError, "mistake": InputError, "missing": ModuleNotFoundError, "bug": KeyError}.get(
        error, MisconfigurationException
    )("first line\nsecond line")


def negative(picture: Any) -> Any:
    return -picture


def node(name: str, **values: Any) -> dict[str, Any]:
    return {"_target_": f"{__name__}.{name}", **values}


def test_a_node_is_built():
    assert instantiate(node("Part", size=3), "part") == Part(3)


def test_an_offered_value_that_the_signature_takes_is_handed_over():
    assert instantiate(node("Part", size=3), "part", run_dir="here").run_dir == "here"


def test_an_offered_value_that_the_signature_does_not_take_is_kept_back():
    assert instantiate(node("Part", size=3), "part", seed=42) == Part(3)


def test_only_what_is_named_counts_as_taken():
    assert instantiate(node("Anything", a=1), "part", seed=42).kwargs == {"a": 1}


def test_positional_arguments_come_first():
    assert instantiate(node("Anything", a=1), "part", "x", "y").args == ("x", "y")


@pytest.mark.parametrize("offered", [Schedule({"head": Phase()}), Phase(lr=[1e-3, 1e-2]), Part(1)])
def test_a_dataclass_that_is_offered_arrives_as_itself(offered):
    assert instantiate(node("Part", size=3), "part", schedule=offered).schedule is offered


def test_an_inner_mapping_arrives_as_a_plain_dict():
    inner = {"_target_": "never.built", "list": [1, {"a": 2}]}
    arrived = instantiate(node("Part", size=inner), "part").size
    assert arrived == inner
    assert (type(arrived), type(arrived["list"])) == (dict, list)


def test_the_node_is_left_as_it_is():
    given = node("Part", size=3)
    instantiate(given, "part")
    assert given == node("Part", size=3)


@pytest.mark.parametrize("error", ["value", "missing", "lightning"])
def test_a_refusal_names_the_key_and_the_first_line(error):
    with pytest.raises(InputError) as refused:
        instantiate(node("refusing", error=error), "callbacks.mine")
    assert str(refused.value) == "callbacks.mine: first line"


def test_a_refusal_without_a_message_names_the_type_of_the_error():
    with pytest.raises(InputError) as refused:
        instantiate(node("Speechless"), "callbacks.mine")
    assert str(refused.value) == "callbacks.mine: ValueError"


def test_a_mistake_is_passed_on_as_it_is():
    with pytest.raises(InputError) as refused:
        instantiate(node("refusing", error="mistake"), "callbacks.mine")
    assert str(refused.value) == "first line\nsecond line"


def test_a_bug_is_no_mistake_of_the_user():
    with pytest.raises(KeyError):
        instantiate(node("refusing", error="bug"), "callbacks.mine")


def test_a_missing_argument_is_named():
    with pytest.raises(InputError, match=r"^part: .*missing 1 required positional argument: 'size'"):
        instantiate(node("Part"), "part")


@pytest.mark.parametrize("target", ["Part", "refusing", "Anything"])
def test_a_class_or_function_is_found(target):
    assert locate_target(node(target), "part").__name__ == target


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"size": 3}, "part needs a _target_"),
        (3, "part needs a _target_"),
        (None, "part needs a _target_"),
        ({"_target_": "nowhere.Part"}, "part._target_=nowhere.Part cannot be imported"),
        ({"_target_": "imageclf.data.Nothing"}, "part._target_=imageclf.data.Nothing cannot be imported"),
        ({"_target_": "imageclf.data"}, "part._target_=imageclf.data is neither a class nor a function"),
    ],
)
def test_what_names_no_class_or_function_is_refused(given, reason):
    with pytest.raises(InputError) as refused:
        locate_target(given, "part")
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)


def test_a_module_of_torch_without_a_constructor_of_its_own_takes_nothing():
    class Plain(nn.Module):
        """Has only a forward."""

    assert list(parameters_of(Plain)) == []
    assert list(parameters_of(nn.Linear))[:2] == ["in_features", "out_features"]


def test_a_function_that_is_itself_the_part_is_not_called_but_returned():
    assert instantiate(node("negative", _partial_=True), "transforms.extra")(3) == -3
    with pytest.raises(InputError, match=r"'picture'; a function that is itself .* needs _partial_=true$"):
        instantiate(node("negative"), "transforms.extra")
