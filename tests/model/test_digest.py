"""A hash of weights that changes with any of them."""

import pytest
import torch
from torch import nn

from imageclf.model.backbone import create_backbone
from imageclf.model.weights.files import weights_digest


def body(seed=0, name="test_resnet"):
    """Make a small body with drawn weights."""
    torch.manual_seed(seed)
    return create_backbone(name, "none")


def names():
    """Return the names of all parameters and buffers of the body."""
    return list(body().state_dict())


def test_equal_weights_have_one_digest():
    assert weights_digest(body()) == weights_digest(body())


def test_other_weights_of_the_same_architecture_have_another_digest():
    assert weights_digest(body(seed=1)) != weights_digest(body())


@pytest.mark.parametrize("name", names())
def test_the_smallest_change_of_any_parameter_or_buffer_changes_the_digest(name):
    module = body()
    before = weights_digest(module)
    tensor = module.state_dict()[name].view(-1)
    if tensor.is_floating_point():
        tensor[-1] = torch.nextafter(tensor[-1], torch.tensor(2.0))
    else:
        tensor[-1] += 1
    assert weights_digest(module) != before


def test_buffers_are_among_what_is_tried():
    assert any("running_mean" in name for name in names()) and any("weight" in name for name in names())


@pytest.mark.parametrize(
    "change",
    [
        lambda module: module.train(),
        lambda module: module.requires_grad_(False),
        lambda module: module.to(memory_format=torch.channels_last),
    ],
    ids=["mode", "gradients", "strides"],
)
def test_what_changes_no_value_changes_no_digest(change):
    module = body().eval()
    before = weights_digest(module)
    change(module)
    assert weights_digest(module) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)),
        (nn.Sequential(nn.Linear(2, 2, bias=False)), nn.Linear(2, 2, bias=False)),
        (nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False).double()),
        (nn.PReLU(1), nn.PReLU(2)),
    ],
    ids=["shape", "name", "type", "length"],
)
def test_zeros_of_another_name_shape_or_type_have_another_digest(one, other):
    for module in (one, other):
        for parameter in module.parameters():
            nn.init.zeros_(parameter)
    assert weights_digest(one) != weights_digest(other)


def test_weights_in_half_precision_have_a_digest():
    assert weights_digest(body().to(torch.bfloat16)) != weights_digest(body())
