from functools import cache

import numpy as np
import pytest
import timm
import torch
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from imageclf import InputError
from imageclf.model import FastaiHead, LinearHead
from imageclf.model.backbone import create_backbone, num_features
from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import freeze_to, layer_groups, parameter_groups

# Every tiny model, a small one of other families, those that name no groups (pit, poolformer, csatv2), those
# that share modules between blocks (coat, vit_srelpos), and one that refuses coarse groups (rdnet).
TINY = timm.list_models("test_*")
OTHERS = [
    "cait_xxs24_224",
    "coat_tiny",
    "convit_tiny",
    "crossvit_9_240",
    "csatv2",
    "densenet121",
    "dla34",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientvit_b0",
    "fastvit_t8",
    "gcvit_xxtiny",
    "ghostnet_050",
    "gmlp_ti16_224",
    "hardcorenas_a",
    "hgnetv2_b0",
    "inception_next_atto",
    "levit_128s",
    "mnasnet_small",
    "mobileone_s0",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small_035",
    "mobilevitv2_050",
    "pit_ti_224",
    "poolformer_s12",
    "pvt_v2_b0",
    "rdnet_tiny",
    "regnetx_002",
    "repvit_m0_9",
    "resmlp_12_224",
    "resnetv2_18",
    "rexnet_100",
    "shvit_s1",
    "starnet_s1",
    "swin_tiny_patch4_window7_224",
    "tf_efficientnet_lite0",
    "tiny_vit_5m_224",
    "vgg11",
    "visformer_tiny",
    "vit_srelpos_small_patch16_224",
    "xcit_nano_12_p16_224",
]
IN_ORDER = [
    "densenet121",
    "ghostnet_050",
    "mobilenetv3_small_050",
    "regnetx_002",
    "rexnet_100",
    "test_byobnet",
    "test_convnext",
    "test_convnext2",
    "test_convnext3",
    "test_efficientnet",
    "test_efficientnet_gn",
    "test_mambaout",
    "test_nfnet",
    "test_resnet",
    "tf_efficientnet_lite0",
    # These register their stages in another order than pictures pass through them.
    "twins_pcpvt_small",
    "visformer_tiny",
]


def classifier(backbone, head=None):
    """Put a head on a body."""
    return ImageClassifier(backbone, head or LinearHead(backbone.num_features, 3), (0.5,) * 3, (0.5,) * 3)


def small():
    """Make a ResNet of four stages, with batch norm in its body and its head."""
    torch.manual_seed(0)
    # Timm starts the last norm of a block at zero, which would leave what lies before it without a gradient.
    backbone = timm.create_model("test_resnet", num_classes=0, zero_init_last=False)
    return classifier(backbone, FastaiHead(backbone.num_features, 3, hidden=8, dropout=0.0))


def frozen_to(first):
    """Return the small ResNet and its groups, of which those from the first on train."""
    model = small()
    groups = layer_groups(model, 3)
    freeze_to(model, groups, first, train_bn=True)
    return model, groups


def flat(groups):
    """Join the names of all groups in any order."""
    return sorted(name for group in groups for name in group)


@cache
def skeleton(name):
    """Build a model once, without its numbers, which takes no time."""
    with torch.device("meta"):
        return classifier(timm.create_model(name, num_classes=0))


def test_many_families_are_looked_at():
    assert len(TINY) >= 15 and len({*TINY, *OTHERS}) >= 55


@pytest.mark.parametrize("num_groups", [2, 3, 5])
@pytest.mark.parametrize("name", [*TINY, *OTHERS])
@pytest.mark.sampled(10)
def test_every_parameter_and_module_is_in_exactly_one_group(name, num_groups):
    model = skeleton(name)
    groups = layer_groups(model, num_groups)
    assert flat(groups.parameters) == sorted(name for name, _ in model.named_parameters())
    assert flat(groups.modules) == sorted(name for name, _ in model.named_modules())


@pytest.mark.parametrize("num_groups", [2, 3, 5])
@pytest.mark.parametrize("name", [*TINY, *OTHERS])
@pytest.mark.sampled(10)
def test_the_head_is_alone_in_the_last_group(name, num_groups):
    *bodies, head = layer_groups(skeleton(name), num_groups).parameters
    assert sorted(head) == ["head.1.bias", "head.1.weight"]
    assert len(bodies) == num_groups - 1 and all(bodies)


@pytest.mark.parametrize("num_groups", [2, 3, 5])
@pytest.mark.parametrize("name", IN_ORDER)
@pytest.mark.sampled(7)
def test_groups_follow_one_another_as_pictures_pass_through(name, num_groups):
    backbone = create_backbone(name, "none", size=64)
    model = classifier(backbone, LinearHead(num_features(backbone, 64), 3)).eval()
    groups = layer_groups(model, num_groups)
    group_of = {module: index for index, members in enumerate(groups.modules) for module in members}
    passed = []
    for module_name, module in model.named_modules():
        if list(module.parameters(recurse=False)) and module is not backbone:
            module.register_forward_pre_hook(lambda *_, index=group_of[module_name]: passed.append(index))
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert passed == sorted(passed)
    assert set(passed) == set(range(num_groups))


@pytest.mark.parametrize(("num_groups", "names"), [(2, "body0 head"), (4, "body0 body1 body2 head")])
def test_groups_are_named_from_the_first_body_to_the_head(num_groups, names):
    assert " ".join(layer_groups(small(), num_groups).names) == names


def test_a_resnet_is_cut_where_fastai_cuts_it():
    groups = layer_groups(skeleton("resnet34"), 3)
    parts = [sorted({name.split(".")[1] for name in group}) for group in groups.parameters[:2]]
    assert parts == [["bn1", "conv1", "layer1", "layer2"], ["layer3", "layer4"]]


@pytest.mark.parametrize(
    ("num_groups", "parts"),
    [
        (2, ["bn1 conv1 layer1 layer2 layer3 layer4"]),
        (4, ["bn1 conv1 layer1", "layer2 layer3", "layer4"]),
        (6, ["bn1 conv1", "layer1", "layer2", "layer3", "layer4"]),
    ],
)
def test_a_resnet_is_cut_evenly_and_the_earlier_groups_get_the_odd_layers(num_groups, parts):
    groups = layer_groups(skeleton("resnet34"), num_groups)
    found = [" ".join(sorted({name.split(".")[1] for name in group})) for group in groups.parameters[:-1]]
    assert found == parts


@pytest.mark.parametrize("num_groups", [-1, 0, 1, 7, 100])
def test_a_number_of_groups_that_the_body_does_not_have_is_refused(num_groups):
    with pytest.raises(InputError, match=rf"^model\.groups={num_groups}: this backbone allows 2 to 6"):
        layer_groups(skeleton("resnet34"), num_groups)


@pytest.mark.parametrize(
    ("module", "group"),
    [
        ("backbone.act1", 0),
        ("backbone.layer2.3.act2", 0),
        ("backbone.layer3.0.act1", 1),
        ("backbone.global_pool", 1),
        ("head.0", 2),
    ],
)
def test_a_module_without_parameters_goes_with_the_one_before_it(module, group):
    assert module in layer_groups(skeleton("resnet34"), 3).modules[group]


@pytest.mark.parametrize(("module", "group"), [("", 2), ("head", 2), ("backbone", 1), ("backbone.layer2", 0)])
def test_a_module_that_spans_groups_goes_with_the_last_of_them(module, group):
    assert module in layer_groups(skeleton("resnet34"), 3).modules[group]


def test_parameters_are_counted_group_by_group():
    counts = layer_groups(skeleton("resnet34"), 3).count_parameters(skeleton("resnet34"))
    # torchvision's resnet34 has 21,284,672 parameters without its last layer.
    assert sum(counts[:2]) == 21_284_672 and counts[2] == 512 * 3 + 3


@pytest.mark.parametrize("first", [0, 1, 2])
def test_parameters_from_the_first_group_on_train(first):
    model, groups = frozen_to(first)
    parameters = dict(model.named_parameters())
    trains = [{parameters[name].requires_grad for name in group} for group in groups.parameters]
    assert trains == [{index >= first} for index in range(3)]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_modules_of_frozen_groups_are_in_eval_mode(first):
    model, groups = frozen_to(first)
    modules = dict(model.named_modules())
    modes = [{modules[name].training for name in group} for group in groups.modules]
    assert modes == [{index >= first} for index in range(3)]


@pytest.mark.parametrize(("train_bn", "modes"), [(True, {True}), (False, {False})])
def test_batch_norm_of_a_body_that_trains_does_as_it_is_told(train_bn, modes):
    model = small()
    freeze_to(model, layer_groups(model, 3), 0, train_bn)
    norms = [module for module in model.backbone.modules() if isinstance(module, _BatchNorm)]
    assert len(norms) > 5 and {norm.training for norm in norms} == modes


def test_nothing_but_batch_norm_heeds_its_mode():
    model = small()
    freeze_to(model, layer_groups(model, 3), 0, train_bn=False)
    others = {module.training for module in model.modules() if not isinstance(module, _BatchNorm)}
    assert others == {True}


def test_batch_norm_of_the_head_always_trains():
    model = small()
    freeze_to(model, layer_groups(model, 3), 2, train_bn=False)
    assert [module.training for module in model.head.modules() if isinstance(module, _BatchNorm)] == [
        True
    ] * 2


def test_freezing_twice_changes_nothing():
    model = small()
    groups = layer_groups(model, 3)
    states = []
    for _ in range(2):
        freeze_to(model, groups, 1, train_bn=False)
        trains = [parameter.requires_grad for parameter in model.parameters()]
        states.append((trains, [module.training for module in model.modules()]))
    assert states[0] == states[1]


@pytest.mark.parametrize("path", [(2, 0), (0, 2), (2, 1, 0), (0, 1)])
def test_how_a_group_was_frozen_before_does_not_matter(path):
    model, fresh = small(), small()
    for first in path:
        freeze_to(model, layer_groups(model, 3), first, train_bn=True)
    freeze_to(fresh, layer_groups(fresh, 3), path[-1], train_bn=True)
    assert [each.training for each in model.modules()] == [each.training for each in fresh.modules()]
    assert [each.requires_grad for each in model.parameters()] == [
        each.requires_grad for each in fresh.parameters()
    ]


def step(model):
    """Train one step on noise with the optimizer's strongest means, weight decay and momentum."""
    images = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    nn.functional.cross_entropy(model(images), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()


@pytest.mark.parametrize("train_bn", [True, False])
@pytest.mark.parametrize("first", [1, 2])
def test_a_step_leaves_frozen_groups_bit_for_bit_as_they_were(first, train_bn):
    model = small()
    groups = layer_groups(model, 3)
    freeze_to(model, groups, first, train_bn)
    modules = dict(model.named_modules())
    tensors = {
        f"{name}.{key}": tensor
        for group in groups.modules[:first]
        for name in group
        for key, tensor in (*modules[name]._parameters.items(), *modules[name]._buffers.items())
        if tensor is not None
    }
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    step(model)
    assert any(name.endswith("running_var") for name in tensors)
    assert [name for name in tensors if not torch.equal(tensors[name], before[name])] == []


@pytest.mark.parametrize(("train_bn", "moves"), [(True, True), (False, False)])
def test_a_step_moves_the_statistics_of_batch_norm_that_trains(train_bn, moves):
    model = small()
    freeze_to(model, layer_groups(model, 3), 0, train_bn)
    before = model.backbone.bn1.running_mean.clone()
    step(model)
    assert torch.equal(before, model.backbone.bn1.running_mean) != moves


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_step_moves_every_weight_that_trains(first):
    model = small()
    groups = layer_groups(model, 3)
    freeze_to(model, groups, first, train_bn=True)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    step(model)
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {name for group in groups.parameters[first:] for name in group}


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
def test_features_of_a_frozen_body_are_the_same_every_time_in_spite_of_dropout(name):
    rates = {"drop_rate": 0.5, "drop_path_rate": 0.5}
    backbone = timm.create_model(name, num_classes=0, **rates)
    model = classifier(backbone, LinearHead(backbone.num_features, 3, dropout=0.5))
    freeze_to(model, layer_groups(model, 3), 2, train_bn=True)
    images = torch.randint(0, 256, (2, 3, 160, 160), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model.features(images), model.features(images))
        assert not torch.equal(model(images), model(images))


def rows(model, num_groups=3):
    """Return the optimizer groups with the names of their parameters."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, layer_groups(model, num_groups), 0.3)
    return [{**group, "params": [names[parameter] for parameter in group["params"]]} for group in groups]


def test_decayed_groups_come_before_those_without_decay():
    names = ["body0", "body1", "head", "body0/no_decay", "body1/no_decay", "head/no_decay"]
    assert [row["name"] for row in rows(small())] == names


def test_a_group_that_has_nothing_to_show_is_left_out():
    model = classifier(create_backbone("test_resnet", "none"), nn.Linear(96, 3, bias=False))
    assert [row["name"] for row in rows(model, 2)] == ["body0", "head", "body0/no_decay"]


def test_only_groups_without_decay_go_without_it():
    assert [(row["name"].endswith("/no_decay"), row["weight_decay"]) for row in rows(small())] == [
        *[(False, 0.3)] * 3,
        *[(True, 0.0)] * 3,
    ]


def test_learning_rates_start_at_zero():
    assert [row["lr"] for row in rows(small())] == [0.0] * 6


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_is_optimized_once_and_in_its_group(name):
    model = skeleton(name)
    groups = layer_groups(model, 3)
    found = rows(model)
    members = {group: [] for group in groups.names}
    for row in found:
        members[row["name"].removesuffix("/no_decay")] += row["params"]
    expected = [sorted(group) for group in groups.parameters]
    assert [sorted(members[group]) for group in groups.names] == expected


@pytest.mark.parametrize(
    "name", [*TINY, "swin_tiny_patch4_window7_224", "levit_128s", "xcit_nano_12_p16_224"]
)
def test_what_goes_without_decay_is_what_timm_lets_go_without(name):
    model = skeleton(name)
    listed = getattr(model.backbone, "no_weight_decay", set)()
    exempt, _ = param_groups_weight_decay(model.backbone, 0.3, no_weight_decay_list=listed)
    names = {parameter: f"backbone.{name}" for name, parameter in model.backbone.named_parameters()}
    expected = {names[parameter] for parameter in exempt["params"]} | {"head.1.bias"}
    assert {name for row in rows(model) if row["weight_decay"] == 0 for name in row["params"]} == expected


@pytest.mark.parametrize(
    "name", ["backbone.pos_embed", "backbone.cls_token", "backbone.norm.weight", "head.1.bias"]
)
def test_embeddings_norms_and_biases_of_a_transformer_do_not_decay(name):
    free = {
        member
        for row in rows(skeleton("vit_tiny_patch16_224"))
        if not row["weight_decay"]
        for member in row["params"]
    }
    assert name in free


def test_an_optimizer_takes_the_groups():
    model = small()
    optimizer = torch.optim.AdamW(parameter_groups(model, layer_groups(model, 3), 0.3))
    sizes = [sum(each.numel() for each in group["params"]) for group in optimizer.param_groups]
    assert np.sum(sizes) == sum(each.numel() for each in model.parameters())
