"""Statistics of batch norm after averaging, against torch's own update_bn."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from imageclf.model import FastaiHead
from imageclf.model.backbone import create_backbone
from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import freeze_to, layer_groups, learning_norms
from imageclf.model.weights.batch_norm import refresh_norms


def small():
    """Return a network with batch norms over pictures and over features, and dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, momentum=0.3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2),
    )  # fmt: skip


def timms():
    """Return a network of timm, whose norms are classes of its own."""
    torch.manual_seed(0)
    return create_backbone("test_efficientnet", "none", 32)


@pytest.fixture(params=[small, timms])
def model(request):
    """Return a network in eval mode whose statistics are of no use."""
    made = request.param()
    for name, buffer in made.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.fill_(7)
    return made.eval()


@pytest.fixture
def batches():
    """Draw three batches, the last a short one."""
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(count, 3, 32, 32, generator=generator) for count in (6, 6, 3)]


def norms_of(model):
    return {name for name, part in model.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)}


def test_the_statistics_are_those_of_torch_bit_for_bit(model, batches):
    expected = copy.deepcopy(model)
    update_bn(batches, expected)
    refresh_norms(model, norms_of(model), batches)
    assert norms_of(model)
    for name, tensor in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def test_modes_momenta_and_parameters_are_as_before(model, batches):
    next(iter(model.children())).train()
    parts = [(part.training, getattr(part, "momentum", None)) for part in model.modules()]
    parameters = copy.deepcopy(dict(model.named_parameters()))
    refresh_norms(model, norms_of(model), batches)
    assert [(part.training, getattr(part, "momentum", None)) for part in model.modules()] == parts
    assert all(torch.equal(parameters[name], each) for name, each in model.named_parameters())
    assert all(each.grad is None for each in model.parameters())


def test_a_failure_on_the_way_restores_modes_and_momenta_too(model, batches):
    parts = [(part.training, getattr(part, "momentum", None)) for part in model.modules()]
    with pytest.raises(RuntimeError):
        refresh_norms(model, norms_of(model), [*batches, torch.rand(2, 5, 32, 32)])
    assert [(part.training, getattr(part, "momentum", None)) for part in model.modules()] == parts


def test_a_norm_that_is_not_named_keeps_its_statistics(batches):
    model = small().eval()
    before = copy.deepcopy(model.state_dict())
    refresh_norms(model, {"6"}, batches)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"6.running_mean", "6.running_var", "6.num_batches_tracked"}


def test_dropout_draws_nothing(batches):
    model = small().eval()
    before = torch.get_rng_state()
    refresh_norms(model, norms_of(model), batches)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("first", [0, 1, 2])
@pytest.mark.parametrize("train_bn", [True, False])
def test_the_norms_that_learn_are_those_that_freezing_leaves_in_training(first, train_bn):
    backbone = timms()
    head = FastaiHead(backbone.num_features, 3)
    model = ImageClassifier(backbone, head, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    groups = layer_groups(model, 3)
    freeze_to(model, groups, first, train_bn)
    parts = dict(model.named_modules())
    expected = {name for name in norms_of(model) if parts[name].training}
    assert learning_norms(model, groups, first, train_bn) == expected
    assert any(name.startswith("head.") for name in expected)
    assert any(name.startswith("backbone.") for name in expected) == (train_bn and first < 2)
