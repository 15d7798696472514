from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from torch import nn

from imageclf.data import Batch
from imageclf.model import LinearHead
from imageclf.model.backbone import create_backbone
from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import layer_groups
from imageclf.model.module import ClassifierModule
from imageclf.model.predictions import Collector, Predictions

CLASSES = ("cat", "dog", "owl")


def module(channels_last=True, loss=None, backbone="test_resnet", weight_decay=0.1):
    """Make a module with a small body."""
    torch.manual_seed(0)
    body = create_backbone(backbone, "none")
    model = ImageClassifier(body, LinearHead(body.num_features, 3), (0.5,) * 3, (0.5,) * 3)
    return ClassifierModule(
        model,
        layer_groups(model, 3),
        CLASSES,
        loss or nn.CrossEntropyLoss(),
        partial(torch.optim.SGD, momentum=0.9),
        weight_decay,
        channels_last,
    )


def pictures(count=4):
    """Draw a batch of noise."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 48, 48), dtype=torch.uint8, generator=generator)
    return Batch(images, None, torch.arange(count) % 3, torch.arange(count))


def cached(classifier, batch):
    """Put features in the place of pictures."""
    with torch.no_grad():
        return batch._replace(images=None, features=classifier.model.features(batch.images))


def drawn(count):
    """Draw labels and probabilities."""
    generator = np.random.default_rng(count)
    return generator.integers(0, 3, count), generator.dirichlet(np.ones(3), count)


def predictions(labels, probabilities):
    """Make predictions of rows in order."""
    return Predictions(torch.arange(len(labels)), torch.from_numpy(labels), torch.from_numpy(probabilities))


@pytest.mark.parametrize("count", [5, 51, 1000])
def test_the_accuracy_is_scikit_learns(count):
    labels, probabilities = drawn(count)
    expected = accuracy_score(labels, probabilities.argmax(axis=1))
    assert predictions(labels, probabilities).accuracy == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("count", [5, 51, 1000])
def test_the_loss_is_scikit_learns(count):
    labels, probabilities = drawn(count)
    expected = log_loss(labels, probabilities, labels=[0, 1, 2])
    assert predictions(labels, probabilities).loss == pytest.approx(expected, rel=1e-12)


def test_a_class_that_was_held_impossible_costs_much_but_not_everything():
    assert predictions(np.array([1]), np.array([[1.0, 0.0, 0.0]])).loss == pytest.approx(15 * np.log(10))


@pytest.mark.parametrize("training", [True, False])
def test_logits_from_features_are_those_from_pictures(training):
    classifier = module().train(training)
    classifier.model.backbone.eval()
    batch = pictures()
    assert torch.equal(classifier(cached(classifier, batch)), classifier(batch))


def test_a_training_step_from_features_is_that_from_pictures():
    classifier, batch = module().eval(), pictures()
    losses = [classifier.training_step(each, 0) for each in (batch, cached(classifier, batch))]
    assert torch.equal(*losses)


def test_the_gradient_of_the_head_from_features_is_that_from_pictures():
    classifier, batch = module().eval(), pictures()
    gradients = []
    for each in (batch, cached(classifier, batch)):
        classifier.zero_grad()
        classifier.training_step(each, 0).backward()
        gradients.append(classifier.model.head[1].weight.grad.clone())
    assert torch.equal(*gradients)


def test_a_training_step_returns_the_loss_that_was_asked_for():
    classifier, batch = module(loss=nn.CrossEntropyLoss(label_smoothing=0.3)).eval(), pictures()
    logits = classifier(batch).detach().double().numpy()
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = 0.7 * np.eye(3)[batch.labels] + 0.1
    expected = -(targets * np.log(probabilities)).sum(axis=1).mean()
    assert classifier.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_neither_pictures_nor_features_is_an_error():
    with pytest.raises(ValueError, match="needs images or features"):
        module()(pictures()._replace(images=None))


def collected(*parts):
    collector = Collector()
    for part in parts:
        collector.add(*part)
    return collector


def test_predictions_of_all_batches_are_sorted_by_row():
    rows = torch.tensor([4, 0, 3, 1, 2])
    parts = [(chunk, chunk % 3, chunk[:, None].repeat(1, 3).float()) for chunk in rows.split(2)]
    gathered = module().gather(collected(*parts))
    assert gathered.rows.tolist() == [0, 1, 2, 3, 4]
    assert gathered.labels.tolist() == [0, 1, 2, 0, 1]
    assert gathered.probabilities[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_the_views_of_a_picture_keep_their_order():
    rows = torch.tensor([1, 1, 1, 0, 0, 0] * 20)
    views = torch.arange(120.0)[:, None].repeat(1, 3)
    gathered = module().gather(collected((rows, rows, views)))
    by_row = gathered.probabilities[:, 0].reshape(2, 60)
    assert (by_row.diff(dim=1) > 0).all() and gathered.rows.tolist() == [0] * 60 + [1] * 60


def test_a_rank_without_a_batch_gathers_nothing():
    gathered = module().gather(collected())
    assert [tuple(part.shape) for part in gathered[:3]] == [(0,), (0,), (0, 3)]


def test_validation_collects_probabilities_of_every_batch():
    classifier, batch = module().eval(), pictures()
    with torch.no_grad():
        classifier.validation_step(batch, 0)
        expected = torch.softmax(classifier(batch), dim=1)
    gathered = classifier.gather(classifier._collected)
    torch.testing.assert_close(gathered.probabilities, expected)


def test_the_optimizer_has_a_group_for_each_layer_group_and_kind():
    groups = module(weight_decay=0.1).configure_optimizers().param_groups
    names = ["body0", "body1", "head", "body0/no_decay", "body1/no_decay", "head/no_decay"]
    assert [(group["name"], group["weight_decay"], group["lr"], group["momentum"]) for group in groups] == [
        (name, 0.0 if name.endswith("no_decay") else 0.1, 0.0, 0.9) for name in names
    ]


def test_the_class_names_travel_in_the_checkpoint():
    checkpoint = {}
    module().on_save_checkpoint(checkpoint)
    assert checkpoint == {"classes": ["cat", "dog", "owl"]}


@pytest.mark.parametrize("channels_last", [True, False])
def test_weights_of_convolutions_lie_as_they_are_told(channels_last):
    weights = [
        parameter
        for parameter in module(channels_last).parameters()
        if parameter.ndim == 4 and parameter.shape[2] > 1
    ]
    assert len(weights) > 5
    in_order = [
        weight.is_contiguous(memory_format=torch.channels_last) for weight in weights if weight.shape[1] > 1
    ]
    assert set(in_order) == {channels_last}


def test_the_layout_of_weights_does_not_show_in_the_logits():
    batch = pictures()
    logits = [module(channels_last).eval()(batch) for channels_last in (True, False)]
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-5)
