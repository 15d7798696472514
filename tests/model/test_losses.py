"""Losses and class weights against closed forms, torch and timm."""

import numpy as np
import pytest
import timm.loss
import torch
from torch import nn
from torch.nn import functional

from imageclf import InputError
from imageclf.model import BinaryCrossEntropy, FocalLoss
from imageclf.model.losses import class_weights

WEIGHT = torch.tensor([0.5, 2.0, 1.0, 4.0], dtype=torch.float64)
COUNTS = {"cat": 30, "dog": 60, "owl": 10}


def batch(kind="labels", count=6, classes=4):
    """Draw logits in double precision, and labels or shares."""
    generator = torch.Generator().manual_seed(count)
    logits = 3 * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (count,), generator=generator)
    mixed = torch.rand(count, 1, generator=generator, dtype=torch.float64)
    one, other = (functional.one_hot(each, classes).double() for each in (labels, labels.roll(1)))
    return logits, labels if kind == "labels" else mixed * one + (1 - mixed) * other


@pytest.mark.parametrize("kind", ["labels", "shares"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_without_gamma_the_focal_loss_is_torchs_cross_entropy(kind, smoothing, weight):
    logits, targets = batch(kind)
    expected = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(logits, targets)
    loss = FocalLoss(gamma=0, label_smoothing=smoothing, weight=weight)
    torch.testing.assert_close(loss(logits, targets), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_the_focal_loss_is_the_papers_formula(gamma):
    logits, labels = batch()
    odds = np.exp(logits.numpy())
    right = (odds / odds.sum(axis=1, keepdims=True))[np.arange(6), labels.numpy()]
    expected = np.mean(-((1 - right) ** gamma) * np.log(right))
    assert FocalLoss(gamma)(logits, labels).item() == pytest.approx(expected, rel=1e-10)


def test_a_picture_of_a_heavy_class_counts_as_often_as_its_weight_says():
    logits, labels = batch()
    each = [FocalLoss(2.0)(logits[[row]], labels[[row]]).item() for row in range(6)]
    expected = np.average(each, weights=WEIGHT[labels].numpy())
    assert FocalLoss(2.0, weight=WEIGHT)(logits, labels).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("kind", ["labels", "shares"])
def test_the_gradient_of_the_focal_loss_is_that_of_its_values(gamma, kind):
    logits, targets = batch(kind)
    loss = FocalLoss(gamma, 0.1, WEIGHT)
    assert torch.autograd.gradcheck(lambda given: loss(given, targets), logits.requires_grad_())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_the_focal_loss_of_a_certainty_has_no_slope(gamma):
    logits = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    FocalLoss(gamma)(logits, torch.tensor([0])).backward()
    assert logits.grad.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["labels", "shares"])
def test_the_binary_loss_is_the_mean_over_pictures_and_classes(kind, smoothing):
    logits, targets = batch(kind)
    shares = np.eye(4)[targets.numpy()] if kind == "labels" else targets.numpy()
    goals = (1 - smoothing) * shares + smoothing / 4
    present = 1 / (1 + np.exp(-logits.numpy()))
    expected = -np.mean(goals * np.log(present) + (1 - goals) * np.log(1 - present))
    assert BinaryCrossEntropy(smoothing)(logits, targets).item() == pytest.approx(expected, rel=1e-10)


def test_the_binary_loss_of_plain_labels_is_torchs_of_one_hot_ones():
    logits, labels = batch()
    expected = functional.binary_cross_entropy_with_logits(logits, functional.one_hot(labels, 4).double())
    torch.testing.assert_close(BinaryCrossEntropy()(logits, labels), expected)


@pytest.mark.parametrize("threshold", [None, 0.2])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_binary_loss_of_labels_is_timms(smoothing, threshold):
    logits, labels = batch()
    expected = timm.loss.BinaryCrossEntropy(smoothing, target_threshold=threshold)(logits, labels)
    torch.testing.assert_close(BinaryCrossEntropy(smoothing, threshold)(logits, labels), expected)


def test_a_threshold_puts_both_classes_of_a_mixed_picture_into_it_where_they_are_large_enough():
    shares = torch.tensor([[0.7, 0.3, 0.0], [0.9, 0.1, 0.0]])
    present = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, -1.0]])
    expected = functional.binary_cross_entropy_with_logits(logits, present)
    torch.testing.assert_close(BinaryCrossEntropy(target_threshold=0.2)(logits, shares), expected)


def test_a_weighted_picture_counts_as_often_as_its_weight_says_in_the_binary_loss():
    logits, labels = batch()
    each = [BinaryCrossEntropy()(logits[[row]], labels[[row]]).item() for row in range(6)]
    expected = np.average(each, weights=WEIGHT[labels].numpy())
    assert BinaryCrossEntropy(weight=WEIGHT)(logits, labels).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("loss", [FocalLoss(2.0, 0.1, WEIGHT), BinaryCrossEntropy(0.1, None, WEIGHT)])
def test_a_share_of_one_is_its_label(loss):
    logits, labels = batch()
    shares = functional.one_hot(labels, 4).double()
    # As in torch, the focal loss of shares is divided by pictures and not by weights.
    scale = WEIGHT[labels].mean() if isinstance(loss, FocalLoss) else 1.0
    torch.testing.assert_close(loss(logits, shares), loss(logits, labels) * scale)


@pytest.mark.parametrize("loss", [FocalLoss(), BinaryCrossEntropy()])
def test_half_precision_is_summed_in_full(loss):
    logits, labels = batch(count=200)
    halved = logits.to(torch.bfloat16)
    assert loss(halved, labels).dtype == torch.float32
    assert loss(halved, labels).item() == pytest.approx(loss(halved.double(), labels).item(), rel=1e-5)


@pytest.mark.parametrize("loss", [FocalLoss, BinaryCrossEntropy])
def test_weights_move_with_the_loss_and_are_not_saved(loss):
    weighted = loss(weight=torch.ones(3))
    assert [name for name, _ in weighted.named_buffers()] == ["weight"]
    assert weighted.state_dict() == {}


@pytest.mark.parametrize(
    ("loss", "key", "value", "takes"),
    [
        (FocalLoss, "gamma", -1.0, "a number from 0 to 100"),
        (FocalLoss, "gamma", float("nan"), "a number from 0 to 100"),
        (FocalLoss, "label_smoothing", 1.0, "a number from 0 to below 1"),
        (BinaryCrossEntropy, "label_smoothing", -0.1, "a number from 0 to below 1"),
        (BinaryCrossEntropy, "target_threshold", 1.0, "a number from 0 to below 1, or null"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(loss, key, value, takes):
    with pytest.raises(InputError) as refused:
        loss(**{key: value})
    assert str(refused.value) == f"model.loss.{key}={value}: give {takes}"


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("balanced", [100 / 90, 100 / 180, 100 / 30]),
        ("sqrt", [(100 / 90) ** 0.5, (100 / 180) ** 0.5, (100 / 30) ** 0.5]),
        ([1, 2.5, 4], [1.0, 2.5, 4.0]),
    ],
)
def test_class_weights_are_those_worked_out_by_hand(how, expected):
    weights = class_weights(how, COUNTS)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx(expected)


def test_balanced_classes_count_the_same_together():
    weights = class_weights("balanced", COUNTS)
    assert (weights * torch.tensor([30, 60, 10])).tolist() == pytest.approx([100 / 3] * 3)


def test_no_class_weights_are_none():
    assert class_weights("none", COUNTS) is None


@pytest.mark.parametrize("how", ["balanced", "sqrt"])
def test_classes_without_a_training_picture_cannot_be_balanced(how):
    with pytest.raises(InputError) as refused:
        class_weights(how, {"cat": 3, "dog": 0, "owl": 0})
    said = f"model.class_weights={how}: these classes have no training picture: dog, owl"
    assert str(refused.value) == said


def test_a_class_without_a_training_picture_can_be_given_a_weight():
    assert class_weights([1.0, 2.0], {"cat": 3, "dog": 0}).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "weights",
    [[1.0, 2.0], [1.0] * 4, [], [1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, float("inf")]],
)
def test_a_list_that_is_no_weight_for_each_class_is_refused(weights):
    with pytest.raises(InputError) as refused:
        class_weights(weights, COUNTS)
    takes = "give 3 numbers above 0, one for each class in class order"
    assert str(refused.value) == f"model.class_weights={weights}: {takes}"
