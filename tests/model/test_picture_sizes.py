import doctest
from functools import cache

import pytest
import timm
import torch

from imageclf import InputError
from imageclf.model import LinearHead, picture_sizes
from imageclf.model.backbone import create_backbone
from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import freeze_to, layer_groups
from imageclf.model.picture_sizes import check_sizes, fixed_size, nearest, size_options
from imageclf.schedule.size import Oblong, edges

# Of each way that timm's transformers have with positions: absolute, with tokens, rotary.
DYNAMIC = [
    ("test_vit", 96),
    ("deit_tiny_distilled_patch16_224", 96),
    ("eva02_tiny_patch14_224", 112),
]
SWIN = "swin_tiny_patch4_window7_224"


def pictures(size):
    """Draw two normalised pictures."""
    return torch.randn(2, 3, *edges(size), generator=torch.Generator().manual_seed(0))


@cache
def trained(name, folder):
    """Save a model's weights at its own size, position embeddings drawn anew, for they start near zero."""
    torch.manual_seed(0)
    backbone = create_backbone(name, "none")
    for key, parameter in backbone.named_parameters():
        if "pos_embed" in key or "bias_table" in key:
            torch.nn.init.normal_(parameter)
    torch.save(backbone.state_dict(), folder / f"{name}.pth")
    return str(folder / f"{name}.pth")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Hold the weights that all tests share."""
    return tmp_path_factory.mktemp("weights")


# torch, where timm resamples the tables of windows that shrink with the picture (timm/layers/interpolate.py).
@pytest.mark.filterwarnings("ignore:torch.searchsorted:UserWarning")
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence for multidimensional indexing:UserWarning")
@pytest.mark.parametrize(
    ("name", "size"), [*DYNAMIC, ("test_vit", Oblong(96, 192)), (SWIN, Oblong(112, 224))]
)
@pytest.mark.sampled(3)
def test_weights_of_another_size_are_loaded_as_timm_loads_them(name, size, folder):
    path = trained(name, folder)
    ours = create_backbone(name, path, size).state_dict()
    overlay = {"file": path, "num_classes": 0}
    theirs = timm.create_model(
        name, pretrained=True, num_classes=0, img_size=size, pretrained_cfg_overlay=overlay
    ).state_dict()
    saved = torch.load(path, weights_only=True)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    resampled = [key for key in ours if ours[key].shape != saved[key].shape]
    assert resampled or not any("pos_embed" in key for key in ours)
    assert all(torch.equal(ours[key], saved[key]) for key in ours if key not in resampled)


# Swin keeps the windows of its own size, so only there it is the model that is built for that size alone.
@pytest.mark.parametrize(("name", "size"), [*DYNAMIC, (SWIN, 224)])
@pytest.mark.sampled(2)
def test_one_of_several_sizes_gives_the_features_of_a_model_built_for_it(name, size, folder):
    path = trained(name, folder)
    several = create_backbone(name, path, {size, 2 * size}).eval()
    alone = create_backbone(name, path, size).eval()
    with torch.no_grad():
        torch.testing.assert_close(several(pictures(size)), alone(pictures(size)), rtol=1e-4, atol=1e-4)
        own = create_backbone(name, path).eval()
        assert not torch.allclose(several(pictures(2 * size)), several(pictures(size)), atol=1e-2)
    assert {key: value.shape for key, value in several.state_dict().items()} == {
        key: value.shape for key, value in own.state_dict().items()
    }


def test_a_file_that_lacks_a_tensor_is_refused_at_another_size_too(folder, tmp_path):
    state = torch.load(trained("test_vit", folder), weights_only=True)
    del state["blocks.1.norm1.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"lacks 1 of the backbone's \d+ tensors \(blocks\.1\.norm1\.weight"):
        create_backbone("test_vit", str(tmp_path / "w.pth"), 96)


@pytest.mark.parametrize("name", ["gmlp_ti16_224", "cait_xxs24_224"])
def test_weights_that_cannot_be_fitted_to_a_size_are_refused(name, folder):
    # An MLP over positions has no embeddings; those of CaiT timm does not resample.
    path = trained(name, folder)
    with pytest.raises(InputError, match=r"^model\.weights: tensors of the file have other shapes"):
        create_backbone(name, path, 96)


@pytest.mark.parametrize(
    ("name", "sizes", "options"),
    [
        ("test_resnet", [], {}),
        ("test_resnet", [64, 96], {}),
        ("test_coatnet", [], {}),
        ("test_coatnet", [128], {"img_size": 128}),
        ("test_coatnet", [64, 128], {}),
        (SWIN, [96, 112], {"dynamic_img_size": True}),
    ],
)
def test_an_architecture_is_built_for_the_sizes_that_it_will_see(name, sizes, options):
    assert size_options(name, sizes) == options


def test_wide_and_tall_pictures_are_among_the_several_sizes_of_a_transformer(folder):
    path, wide = trained("test_vit", folder), Oblong(64, 128)
    several = create_backbone("test_vit", path, {96, wide, Oblong(128, 64)}).eval()
    alone = create_backbone("test_vit", path, wide).eval()
    with torch.no_grad():
        torch.testing.assert_close(several(pictures(wide)), alone(pictures(wide)), rtol=1e-4, atol=1e-4)
        assert several(pictures(Oblong(128, 64))).shape == several(pictures(96)).shape


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("name", "sizes", "near"),
    [
        ("test_vit", [100], "100 px, but of 96 and 112"),
        ("test_vit", [96, 100], "100 px, but of 96 and 112"),
        ("test_coatnet", [100, 128], "100 px, but of 96 and 128"),
        ("eva02_tiny_patch14_224", [128], "128 px, but of 126 and 140"),
        ("halonet_h1", [224], "224 px, but of 256"),
        ("dla46_c", [64, 80], "80 px, but of 64 and 96"),
        ("crossvit_9_240", [224], "224 px, but of 120 and 240"),
        (SWIN, [65], "65 px, but of 64 and 72"),
        ("test_vit", [Oblong(64, 100)], "64x100 px, but of 64x96 and 64x112"),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_those_nearby(name, sizes, near):
    with pytest.raises(InputError) as refusal:
        check_sizes(name, sizes, size_options(name, sizes))
    assert str(refusal.value) == (
        f"model.backbone={name} takes no pictures of {near}; change data.size, or the size of the phase"
    )


def test_the_sentence_about_several_sizes_names_them_all():
    with pytest.raises(InputError) as refusal:
        create_backbone("test_coatnet", "none", {160, 64})
    assert str(refusal.value) == (
        "model.backbone=test_coatnet takes pictures of one size only, and the schedule has 64, 160: "
        "give every phase the same size, or take a convolutional model"
    )


@pytest.mark.parametrize(
    ("name", "size"), [("test_vit", 160), ("test_resnet", None), ("vit_tiny_patch16_384", 384)]
)
def test_a_fixed_size_is_the_architectures_own(name, size):
    assert fixed_size(name) == size


def test_the_examples_hold():
    results = doctest.testmod(picture_sizes)
    assert results.failed == 0 < results.attempted


def test_a_deprecated_name_is_of_any_size():
    assert fixed_size("gluon_inception_v3") is None
    check_sizes("gluon_inception_v3", [128, 160], {})


def test_none_is_near_where_none_is_legal():
    assert nearest(100, lambda size: False) == []


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_mambaout", SWIN])
def test_drop_path_is_set_and_does_nothing_in_a_frozen_body(name):
    backbone = create_backbone(name, "none", 64, drop_path_rate=0.4)
    rates = [each.drop_prob for each in backbone.modules() if hasattr(each, "drop_prob")]
    assert max(rates) == pytest.approx(0.4)
    model = ImageClassifier(backbone, LinearHead(8, 3), (0.5,) * 3, (0.5,) * 3)
    images = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    groups = layer_groups(model, 3)
    with torch.no_grad():
        for first, same in ((2, True), (1, False), (0, False)):
            freeze_to(model, groups, first, train_bn=False)
            assert torch.equal(model.features(images), model.features(images)) == same


def test_without_a_rate_the_architecture_keeps_its_own():
    rates = [each.drop_prob for each in create_backbone(SWIN, "none").modules() if hasattr(each, "drop_prob")]
    assert max(rates) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "rate", "sentence"),
    [
        ("densenet121", 0.1, r"^model\.drop_path_rate=0\.1: densenet121 has no drop path; give null"),
        ("test_vit", 1.0, r"^model\.drop_path_rate=1\.0: give a number from 0 to below 1, or null"),
        ("test_vit", -0.1, r"^model\.drop_path_rate=-0\.1: give a number"),
    ],
)
def test_a_drop_path_that_there_cannot_be_is_refused(name, rate, sentence):
    with pytest.raises(InputError, match=sentence):
        create_backbone(name, "none", drop_path_rate=rate)
