"""imageclf-prefetch, and weights that are in the hub's cache."""

from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from imageclf.model.backbone import create_backbone
from imageclf.model.weights.pretrained import cached_file

NAME = "test_resnet"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def empty_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache that holds nothing, and a hub that nobody answers for."""
    # What HF_HOME and HF_HUB_OFFLINE set, which are read at import.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.fixture
def hub(empty_hub: Path) -> Path:
    """A cache with weights of one model, laid out as the hub's own library does."""
    repository = empty_hub / "models--timm--test_resnet.r160_in1k"
    snapshot = repository / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION)
    torch.manual_seed(3)
    save_file(timm.create_model(NAME, pretrained=False).state_dict(), snapshot / "model.safetensors")
    return snapshot / "model.safetensors"


def test_weights_in_the_cache_are_found(hub: Path) -> None:
    assert cached_file(NAME) == hub


def test_a_model_that_was_never_fetched_is_not_found(hub: Path) -> None:
    assert cached_file("test_efficientnet") is None


@pytest.mark.fault(
    "Terminals, paths and networks",
    "There is no network, and the weights were fetched before",
    "They are loaded",
)
def test_cached_weights_are_loaded_without_a_network(hub: Path) -> None:
    torch.manual_seed(3)
    expected = timm.create_model(NAME, pretrained=False).state_dict()
    loaded = create_backbone(NAME, "hub").state_dict()
    assert len(loaded) > 10
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.items())


def test_the_command_says_where_cached_weights_are(hub: Path, command) -> None:
    outcome = command("prefetch", f"model.backbone={NAME}")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == f"the weights of {NAME} are in {hub}"


@pytest.mark.fault(
    "Terminals, paths and networks",
    "The hub cannot be reached",
    "One sentence within seconds, with the command that fetches the weights elsewhere",
)
def test_without_the_hub_the_command_says_so_in_one_sentence(empty_hub: Path, command) -> None:
    outcome = command("prefetch", f"model.backbone={NAME}")
    assert outcome.code == 1
    (sentence,) = outcome.mistakes
    assert "not in the cache, and the hub does not give them" in sentence
    assert f"run imageclf-prefetch model.backbone={NAME} where there is internet" in sentence


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([f"model.backbone={NAME}", "model.weights=none"], f"{NAME} is drawn at random"),
        (["model=lite0"], "tf_efficientnet_lite0 has its weights in an installed package"),
    ],
)
def test_what_needs_no_hub_has_nothing_to_fetch(arguments: list[str], says: str, empty_hub, command) -> None:
    outcome = command("prefetch", *arguments)
    assert (outcome.code, outcome.out) == (0, f"there is nothing to fetch: {says}\n")


def test_a_file_of_weights_is_named(tmp_path: Path, empty_hub: Path, command) -> None:
    file = tmp_path / "mine.pth"
    torch.save(timm.create_model(NAME, pretrained=False).state_dict(), file)
    outcome = command("prefetch", f"model.backbone={NAME}", f"model.weights={file}")
    assert (outcome.code, outcome.out) == (
        0,
        f"there is nothing to fetch: {NAME} has its weights in {file}\n",
    )


def test_a_name_that_timm_does_not_know_is_refused(empty_hub: Path, command) -> None:
    outcome = command("prefetch", "model.backbone=resnet999")
    assert outcome.code == 1
    assert "neither timm nor conf/model has it" in outcome.mistakes[0]
