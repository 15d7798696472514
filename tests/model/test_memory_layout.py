"""Pictures and weights are channels-last, but in short trainings of depthwise networks on CUDA."""

import pytest
import timm
import torch
from torch import nn

from imageclf.model.classifier import ImageClassifier
from imageclf.model.layout import MIN_STEPS, has_depthwise, is_channels_last


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [("resnet18", False), ("test_vit", False), ("tf_efficientnet_lite0", True), ("convnext_atto", True)],
)
def test_depthwise_convolutions_are_found(architecture: str, expected: bool) -> None:
    with torch.device("meta"):
        assert has_depthwise(timm.create_model(architecture)) is expected


@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_of_one_group_or_of_several_channels_a_group_are_not_depthwise(groups: int) -> None:
    assert not has_depthwise(nn.Conv2d(4, 4, 3, groups=groups))


def test_a_convolution_of_a_single_channel_is_not_depthwise() -> None:
    assert not has_depthwise(nn.Conv2d(1, 1, 3))


DEPTHWISE, PLAIN = nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 3)


@pytest.mark.parametrize(
    ("body", "on_cuda", "steps", "expected"),
    [
        (DEPTHWISE, True, MIN_STEPS - 1, False),
        (DEPTHWISE, True, MIN_STEPS, True),
        (DEPTHWISE, False, 0, True),
        (PLAIN, True, 0, True),
    ],
)
def test_only_short_trainings_of_depthwise_networks_on_cuda_are_contiguous(
    body: nn.Module, on_cuda: bool, steps: int, expected: bool
) -> None:
    assert is_channels_last("auto", body, on_cuda, steps) is expected


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_asked_for_is_done(asked: bool) -> None:
    assert is_channels_last(asked, DEPTHWISE, on_cuda=True, steps=0) is asked


@pytest.mark.parametrize("channels_last", [True, False])
def test_every_convolution_of_an_arranged_network_sees_pictures_of_that_layout(channels_last: bool) -> None:
    body = timm.create_model("test_efficientnet", num_classes=0)
    network = ImageClassifier(body, nn.Identity(), (0.5,) * 3, (0.5,) * 3).eval()
    network.arrange(channels_last)
    layouts: list[bool] = []
    for each in body.modules():
        if isinstance(each, nn.Conv2d):
            # Where height and width are 1, both layouts are the same.
            each.register_forward_pre_hook(
                lambda _, seen: layouts.append(seen[0].is_contiguous()) if seen[0].shape[-1] > 1 else None
            )
    pictures = torch.zeros(2, 3, 64, 64, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    network(pictures)
    assert len(layouts) > 10 and set(layouts) == {not channels_last}
