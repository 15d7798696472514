"""Classifiers of many families as stock timm reads them."""

import doctest

import pytest
import timm
import torch
from torch import nn

from imageclf import InputError
from imageclf.model import FastaiHead, LinearHead
from imageclf.model.backbone import DataConfig, create_backbone, data_config
from imageclf.model.classifier import ImageClassifier
from imageclf.model.export import timm_folder
from imageclf.model.export.timm_folder import layers_as_code, to_timm
from imageclf.schedule.size import Oblong

FAMILIES = ["test_resnet", "test_efficientnet", "test_vit", "test_convnext", "test_byobnet", "test_mambaout"]


def test_the_examples_in_the_docstrings_are_right():
    tried = doctest.testmod(timm_folder)
    assert tried.attempted > 0
    assert tried.failed == 0


def classifier(backbone: str, head: type, *sizes: int) -> tuple[ImageClassifier, DataConfig]:
    torch.manual_seed(0)
    body = create_backbone(backbone, "none", sizes or (64,))
    expects = data_config(body)
    with torch.no_grad():
        features = body.eval()(torch.zeros(1, 3, 64, 64)).shape[1]
    return ImageClassifier(body, head(features, 3), expects.mean, expects.std).eval(), expects


def rebuilt(folder, head: nn.Module) -> nn.Module:
    """Return the network that a folder describes, built by stock timm."""
    config = folder.config
    model = timm.create_model(
        config["architecture"], num_classes=config["num_classes"], **config["model_args"]
    )
    model.load_state_dict(folder.state)
    if not folder.head:
        return model.eval()
    head.load_state_dict(folder.head_state)
    return nn.Sequential(model, head).eval()


@pytest.mark.parametrize("head", [LinearHead, FastaiHead])
@pytest.mark.parametrize("backbone", FAMILIES)
@torch.no_grad()
def test_any_family_computes_the_same_in_stock_timm(backbone, head):
    model, expects = classifier(backbone, head)
    folder = to_timm(model, backbone, ("a", "b", "c"), expects, 64, "crop")
    pictures = torch.randn(4, 3, 64, 64)
    blank = head(model.head[-1].in_features if head is LinearHead else model.head[0].num_features, 3)
    found = rebuilt(folder, blank)(pictures)
    torch.testing.assert_close(found, model.head(model.backbone(pictures)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_transformer_that_has_seen_several_sizes_takes_them_in_stock_timm():
    model, expects = classifier("test_vit", LinearHead, 64, 96)
    found = rebuilt(to_timm(model, "test_vit", ("a", "b", "c"), expects, 96, "crop"), nn.Identity())
    for size in (64, 96):
        pictures = torch.randn(4, 3, size, size)
        wanted = model.head(model.backbone(pictures))
        torch.testing.assert_close(found(pictures), wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_transformer_of_wide_pictures_takes_them_in_stock_timm():
    wide = Oblong(64, 128)
    model, expects = classifier("test_vit", LinearHead, wide)
    found = rebuilt(to_timm(model, "test_vit", ("a", "b", "c"), expects, wide, "crop"), nn.Identity())
    pictures = torch.randn(4, 3, *wide)
    torch.testing.assert_close(found(pictures), model.head(model.backbone(pictures)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", FAMILIES)
def test_a_linear_head_is_timms_own_classifier(backbone):
    model, expects = classifier(backbone, LinearHead)
    folder = to_timm(model, backbone, ("a", "b", "c"), expects, 64, "crop")
    assert (folder.head, folder.config["num_classes"]) == ("", 3)


@pytest.mark.parametrize(("resize", "mode"), [("crop", "center"), ("squish", "squash"), ("pad", "border")])
def test_the_way_to_a_square_has_timms_name(resize, mode):
    model, expects = classifier("test_resnet", LinearHead)
    folder = to_timm(model, "test_resnet", ("a", "b", "c"), expects, 64, resize)
    assert folder.config["pretrained_cfg"]["crop_mode"] == mode


def test_the_code_of_a_head_builds_its_layers():
    head = FastaiHead(8, 3, hidden=4)
    again = eval(f"nn.Sequential({layers_as_code(head)})", {"nn": nn})
    assert [str(layer) for layer in again] == [str(layer) for layer in head]


class Own(nn.Module):
    """A head of the user's."""


@pytest.mark.parametrize("head", [Own(), nn.Sequential(Own())])
def test_a_head_of_the_users_is_refused(head):
    with pytest.raises(InputError, match="give format=onnx"):
        layers_as_code(head)
