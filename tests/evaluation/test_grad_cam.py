"""Grad-CAM: by hand, as the class activation map of a linear head, and on architectures of both layouts."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from imageclf.evaluation.grad_cam import class_maps, grad_cam
from imageclf.model.classifier import ImageClassifier

# Asked of the two pictures.
CLASSES = torch.tensor([1, 0])


def classifier(name, **options):
    torch.manual_seed(0)
    backbone = timm.create_model(name, num_classes=0, **options).eval()
    head = nn.Linear(backbone.num_features, 3)
    return ImageClassifier(backbone, head, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)).eval()


def pictures(size):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, size, size), dtype=np.uint8))


def test_places_count_by_features_weighted_with_their_mean_gradient():
    features = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 1.0]]]])
    gradients = torch.tensor([[[[1.0, 3.0], [2.0, 2.0]], [[-1.0, -1.0], [-1.0, -1.0]]]])
    # Weights 2 and -1: 2 - 3, 4 - 0, 0 - 1 and 8 - 1, without what is below zero, over the highest.
    assert torch.allclose(grad_cam(features, gradients), torch.tensor([[[0.0, 4 / 7], [0.0, 1.0]]]))


def test_where_nothing_speaks_for_the_class_the_map_is_zero():
    assert grad_cam(torch.ones(1, 2, 2, 2), -torch.ones(1, 2, 2, 2)).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_with_a_linear_head_it_is_the_map_of_the_class_s_own_weights():
    model, images = classifier("test_resnet"), pictures(64)
    with torch.no_grad():
        features = model.backbone.forward_features(model.normalise(images))
        weights = model.head.weight[CLASSES]
        expected = torch.einsum("bc,bchw->bhw", weights, features).relu()
    expected /= expected.amax(dim=(1, 2), keepdim=True)
    assert torch.allclose(class_maps(model, images, CLASSES), expected, atol=1e-5)


def test_channels_may_come_last():
    swin = {"img_size": 64, "window_size": 4, "embed_dim": 24, "depths": (1, 1), "num_heads": (1, 2)}
    model = classifier("swin_tiny_patch4_window7_224", **swin)
    assert model.backbone.forward_features(torch.zeros(1, 3, 64, 64)).shape == (1, 8, 8, 48)
    assert class_maps(model, pictures(64), CLASSES).shape == (2, 8, 8)


@pytest.mark.parametrize("name", ["test_vit"])
def test_tokens_have_no_map(name):
    assert class_maps(classifier(name, img_size=64), pictures(64), CLASSES) is None


def test_the_weights_have_no_gradient_afterwards():
    model = classifier("test_efficientnet")
    assert class_maps(model, pictures(64), CLASSES) is not None
    assert [each.grad for each in model.parameters() if each.grad is not None] == []
