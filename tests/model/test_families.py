"""Layer groups, freezing, layer decay and picture sizes over one model of every timm family."""

import re

import numpy as np
import pytest
import timm
import torch
from families import FAMILIES, HUGE, SIDEWAYS, modules, real, size_of, skeleton
from timm.optim import param_groups_layer_decay
from torch import nn

from imageclf import InputError
from imageclf.model.backbone import num_features
from imageclf.model.groups import freeze_to, layer_depths, layer_groups
from imageclf.model.picture_sizes import check_sizes, size_options

# Quick ones of each kind: convolutions, attention, both, and those of the lesson; the others take minutes.
# fmt: off
QUICK = {
    "convnext", "efficientnet", "efficientvim", "hiera", "levit", "mambaout", "maxxvit", "metaformer",
    "mobilenetv3", "pit", "regnet", "resnet", "vision_transformer",
}
# fmt: on
SENTENCES = (
    r"model\.backbone=\w+ takes pictures of one size only, and the schedule has \d+, \d+: give every",
    r"model\.backbone=\w+ takes no pictures of \d+ px, but of (\d+)( and \d+)?; change data\.size",
)
every = [name if name in QUICK else pytest.param(name, marks=pytest.mark.long) for name in FAMILIES]
trained = [each for each in every if (each if isinstance(each, str) else each.values[0]) not in HUGE]


@pytest.fixture(scope="module", params=trained)
def model(request):
    """Build one real model of a family for the tests that follow one another."""
    torch.manual_seed(0)
    return request.param, real(request.param)


def pictures(size, count=2):
    """Draw a batch of noise."""
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8)


def cuts(model, numbers=(2, 3, 4)):
    """Yield the layer groups of each number of groups that a body allows."""
    for number in numbers:
        try:
            yield layer_groups(model, number)
        except InputError as error:
            assert re.fullmatch(rf"model\.groups={number}: this backbone allows 2 to \d", str(error))


def takes_both(family):
    """Return whether a family takes both of the sizes that we show."""
    sizes = [size_of(family), 2 * size_of(family)]
    try:
        check_sizes(FAMILIES[family], sizes, size_options(FAMILIES[family], sizes))
    except InputError:
        return False
    return True


def first_calls(model, size):
    """Return the names of the body's modules with parameters in the order of their first calls."""
    names, called = {module: name for name, module in model.named_modules()}, []
    hooks = [
        module.register_forward_pre_hook(lambda module, _: called.append(names[module]))
        for module in model.backbone.modules()
        if module is not model.backbone and list(module.parameters(recurse=False))
    ]
    with torch.no_grad(), torch.device("meta"):
        model.backbone.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return list(dict.fromkeys(called))


def test_quick_and_huge_families_are_in_the_table():
    assert set(FAMILIES) > QUICK and len(QUICK) > 12
    assert set(HUGE) < set(FAMILIES) and len(trained) == len(FAMILIES) - 3


def test_the_table_has_every_family_of_timm_and_a_model_of_each():
    assert set(FAMILIES) == modules()
    assert [f"timm.models.{family}" for family in FAMILIES] == [
        timm.models.model_entrypoint(name).__module__ for name in FAMILIES.values()
    ]


@pytest.mark.parametrize("family", every)
def test_groups_hold_every_parameter_once_and_the_head_alone_comes_last(family):
    body = skeleton(family)
    sizes = {name: parameter.numel() for name, parameter in body.named_parameters()}
    found = list(cuts(body))
    assert found
    for groups in found:
        assert sorted(name for group in groups.parameters for name in group) == sorted(sizes)
        assert set(groups.parameters[-1]) == {"head.1.weight", "head.1.bias"} and all(groups.parameters)
        assert sum(groups.count_parameters(body)) == sum(sizes.values())


@pytest.mark.parametrize("family", every)
def test_groups_follow_one_another_as_a_picture_passes_through(family):
    body = skeleton(family)
    owners = dict(body.named_modules())
    names = {parameter: name for name, parameter in body.named_parameters()}
    calls = first_calls(body, timm.get_pretrained_cfg(FAMILIES[family]).input_size[-1])
    assert len(calls) >= 10
    for groups in cuts(body):
        group_of = {name: index for index, group in enumerate(groups.parameters) for name in group}
        passed = [
            {group_of[names[parameter]] for parameter in owners[name].parameters(recurse=False)}
            for name in calls
            if name not in SIDEWAYS.get(family, ())
        ]
        assert all(len(each) == 1 for each in passed)
        assert passed == sorted(passed, key=max) and len(set(map(max, passed))) == len(groups.names) - 1


@pytest.mark.parametrize("family", every)
def test_layers_lie_as_far_below_the_head_as_timm_counts_them(family):
    with torch.device("meta"):
        # With a classifier, from which timm counts.
        whole = timm.create_model(FAMILIES[family], num_classes=3)
    names = {parameter: name for name, parameter in whole.named_parameters()}
    rows = param_groups_layer_decay(whole, layer_decay=0.5)
    scales = {names[parameter]: row["lr_scale"] for row in rows for parameter in row["params"]}
    depths = layer_depths(skeleton(family).backbone)
    assert depths.keys() == {name for name, _ in skeleton(family).backbone.named_parameters()}
    assert {name: 0.5**depth for name, depth in depths.items()} == {name: scales[name] for name in depths}
    assert max(depths.values()) > 2


@pytest.mark.parametrize("sizes", [(1, 2), (50 / 64,)])
@pytest.mark.parametrize("family", every)
def test_sizes_are_taken_or_refused_by_a_sentence_that_names_others(family, sizes):
    name, sizes = FAMILIES[family], [int(size_of(family) * factor) for factor in sizes]
    before = torch.get_rng_state()
    try:
        check_sizes(name, sizes, size_options(name, sizes))
    except InputError as error:
        found = [match for match in (re.match(each, str(error)) for each in SENTENCES) if match]
        assert len(found) == 1
        if found[0].re.groups:
            near = int(found[0][1])
            check_sizes(name, [near], size_options(name, [near]))
    assert torch.equal(before, torch.get_rng_state())


def test_a_body_makes_features_of_pictures_of_each_size_that_it_takes(model):
    family, model = model
    size, backbone = size_of(family), model.backbone.eval()
    width = num_features(backbone, size)
    # Twice the size takes four times as long.
    sizes = [size, 2 * size] if 2 * size <= 256 and takes_both(family) else [size]
    with torch.no_grad():
        for each in sizes:
            features = model.features(pictures(each))
            assert features.shape == (2, width) and features.isfinite().all()


def test_frozen_groups_do_nothing_at_random(model):
    family, model = model
    groups = layer_groups(model, 3)
    images = pictures(size_of(family))
    freeze_to(model, groups, 2, train_bn=True)
    with torch.no_grad():
        assert torch.equal(model.features(images), model.features(images))
    assert np.all([not module.training for module in model.backbone.modules()])


def test_a_step_moves_groups_that_train_and_nothing_of_those_below(model):
    family, model = model
    groups = layer_groups(model, 3)
    freeze_to(model, groups, 1, train_bn=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, weight_decay=0.1)
    nn.functional.cross_entropy(model(pictures(size_of(family))), torch.tensor([0, 1])).backward()
    optimizer.step()
    frozen = [name for name in before if name.startswith(tuple(f"{module}." for module in groups.modules[0]))]
    parameters = dict(model.named_parameters())
    assert {parameters[name].grad for name in groups.parameters[0]} == {None}
    after = model.state_dict()
    assert len(frozen) >= len(groups.parameters[0]) - 5
    assert [
        name for name in (*frozen, *groups.parameters[0]) if not torch.equal(before[name], after[name])
    ] == []
    for group in groups.parameters[1:]:
        assert any(not torch.equal(before[name], after[name]) for name in group)
