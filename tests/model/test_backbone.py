from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from imageclf import InputError
from imageclf.model import LinearHead
from imageclf.model.backbone import (
    DataConfig,
    create_backbone,
    data_config,
    expected_crop_pct,
    near_names,
    num_features,
)
from imageclf.model.classifier import ImageClassifier

STAMPS = Path(__file__).parents[2] / "data" / "stamps"
TINY = timm.list_models("test_*")


def input_size(name):
    """Return the pixels a side that a model is made for."""
    return timm.get_pretrained_cfg(name).input_size[-1]


def test_timm_has_tiny_models_of_many_families():
    assert len(TINY) >= 15


@pytest.mark.parametrize("name", TINY)
def test_a_body_turns_pictures_into_features_of_the_width_that_was_looked_up(name):
    backbone = create_backbone(name, "none")
    size = input_size(name)
    width = num_features(backbone, size)
    assert backbone.eval()(torch.zeros(2, 3, size, size)).shape == (2, width)


@pytest.mark.parametrize(("name", "width"), [("mobilenetv3_small_050", 1024), ("ghostnet_050", 1280)])
def test_the_width_is_that_of_the_features_where_timm_names_an_earlier_one(name, width):
    assert num_features(create_backbone(name, "none"), 64) == width


@pytest.mark.parametrize("size", [64, 96, 128])
def test_a_transformer_is_built_for_the_size_that_it_will_see(size):
    assert num_features(create_backbone("test_vit", "none", size), size) == 64


def test_looking_up_the_width_leaves_every_mode_as_it_was():
    backbone = create_backbone("test_resnet", "none")
    for index, module in enumerate(backbone.modules()):
        module.training = index % 3 == 0
    before = [module.training for module in backbone.modules()]
    num_features(backbone, 64)
    assert [module.training for module in backbone.modules()] == before
    assert {True, False} == set(before)


def test_looking_up_the_width_leaves_the_statistics_as_they_were():
    backbone = create_backbone("test_resnet", "none")
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    num_features(backbone, 64)
    after = backbone.state_dict()
    assert before and all(torch.equal(before[name], after[name]) for name in before)


def test_a_body_that_makes_maps_instead_of_features_is_refused():
    with pytest.raises(InputError, match=r"^model\.backbone: features of shape \[1, 3, 8, 8\]"):
        num_features(torch.nn.MaxPool2d(4), 32)


@pytest.mark.parametrize("name", ["resnet3", "my_own_net", "", "resnet18.no_such_weights"])
@pytest.mark.parametrize("size", [None, 64])
def test_a_name_that_timm_does_not_know_is_refused_by_it(name, size):
    with pytest.raises(InputError, match=f"^model.backbone={name}: neither timm nor conf/model has it"):
        create_backbone(name, "none", size)


def test_a_dotted_name_may_be_that_of_a_class_of_ones_own():
    with pytest.raises(
        InputError, match=r"; a class of your own is model\.backbone\._target_=my_model\.Net$"
    ):
        create_backbone("my_model.Net", "none", 64)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("convnext_tinny", "convnext_tiny"),
        ("efficientnet", "efficientnet_b0"),
        ("lite1", "lite0"),
        ("convnext_tiny.fbin22k", "convnext_tiny.fb_in22k"),
    ],
)
def test_near_names_are_longer_or_similar_ones(name, near):
    assert near in near_names(name, ["lite0"])


def test_the_hubs_weights_of_a_model_that_has_none_are_refused():
    with pytest.raises(InputError, match="nobody has published weights of efficientnet_b0_gn"):
        create_backbone("efficientnet_b0_gn", "hub")


def test_a_name_that_is_nearly_right_gets_suggestions():
    with pytest.raises(InputError, match=r"similar names are .*resnet34"):
        create_backbone("resnet34_", "none")


def test_a_name_with_its_weights_behind_a_dot_is_known():
    assert num_features(create_backbone("resnet18.a1_in1k", "none"), 32) == 512


def test_lite0_expects_what_its_weights_were_trained_on():
    expected = DataConfig(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), crop_pct=0.875, fixed_size=None)
    assert data_config(create_backbone("tf_efficientnet_lite0", "none")) == expected


def test_resnet34_expects_pictures_as_imagenet_has_them():
    config = data_config(create_backbone("resnet34", "none"))
    assert config.mean == (0.485, 0.456, 0.406)
    assert config.std == (0.229, 0.224, 0.225)
    assert config.crop_pct == timm.get_pretrained_cfg("resnet34").crop_pct


@pytest.mark.parametrize(
    ("name", "is_fixed"), [("test_coatnet", True), ("test_vit", False), ("test_resnet", False)]
)
def test_an_architecture_of_one_size_is_told_from_one_of_any(name, is_fixed):
    assert (data_config(create_backbone(name, "none")).fixed_size is not None) == is_fixed


CROPS = [*TINY, "resnet34", "tf_efficientnet_lite0", "resnet50.a1_in1k", "convnext_tiny.fb_in22k_ft_in1k_384"]


@pytest.mark.parametrize("name", CROPS)
def test_the_crop_of_a_body_is_known_before_it_is_built(name):
    with torch.device("meta"):
        built = timm.create_model(name, num_classes=0)
    assert expected_crop_pct(name) == data_config(built).crop_pct


def test_crops_differ_between_bodies():
    assert len({expected_crop_pct(name) for name in CROPS}) > 2


@pytest.mark.parametrize("name", ["no_such_model", "resnet34.no_such_weights"])
def test_the_crop_of_a_body_that_timm_does_not_know_is_none(name):
    assert expected_crop_pct(name) is None


def test_normalising_is_the_formula_on_fractions_of_white():
    model = ImageClassifier(torch.nn.Identity(), torch.nn.Identity(), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
    mean, std = np.array([[[0.1]], [[0.2]], [[0.3]]]), np.array([[[0.5]], [[0.6]], [[0.7]]])
    shown = model.normalise(torch.from_numpy(images))
    np.testing.assert_allclose(shown.numpy(), (images / 255 - mean) / std, atol=1e-6)


def test_normalising_keeps_pictures_channels_last():
    model = ImageClassifier(torch.nn.Identity(), torch.nn.Identity(), (0.5,) * 3, (0.5,) * 3)
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    assert model.normalise(images).is_contiguous(memory_format=torch.channels_last)


def test_logits_are_the_heads_of_the_bodys_features():
    torch.manual_seed(0)
    model = ImageClassifier(
        create_backbone("test_vit", "none"), LinearHead(64, 3), (0.5,) * 3, (0.5,) * 3
    ).eval()
    images = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    assert torch.equal(model(images), model.head(model.backbone(model.normalise(images))))


def test_packaged_features_put_pictures_beside_their_like():
    folders = sorted(path for path in STAMPS.iterdir() if path.is_dir())
    files = [path for folder in folders for path in sorted(folder.glob("*.jpg"))[:10]]
    labels = np.array([path.parent.name for path in files])
    pictures = np.stack([np.asarray(Image.open(path).convert("RGB").resize((96, 96))) for path in files])
    backbone = create_backbone("tf_efficientnet_lite0", "packaged")
    model = ImageClassifier(backbone, torch.nn.Identity(), (0.5,) * 3, (0.5,) * 3).eval()
    with torch.no_grad():
        features = model(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()
    similar = np.corrcoef(features) - 2 * np.eye(len(files))
    assert len(files) == 60
    # A guess is right once in six; colours alone get a third.
    assert (labels[similar.argmax(axis=1)] == labels).mean() > 0.6
