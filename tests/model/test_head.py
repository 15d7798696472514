import pytest
import torch
from torch import nn

from imageclf.model import FastaiHead, LinearHead


@pytest.mark.parametrize("head", [LinearHead, FastaiHead])
def test_a_head_turns_features_into_logits(head):
    assert head(7, 3)(torch.randn(4, 7)).shape == (4, 3)


def test_a_linear_head_is_a_linear_layer():
    head = LinearHead(7, 3, dropout=0.5).eval()
    features = torch.randn(4, 7)
    expected = features @ head[1].weight.T + head[1].bias
    torch.testing.assert_close(head(features), expected)


def test_a_linear_head_drops_features_while_it_trains():
    head = LinearHead(2000, 1, dropout=0.25)
    dropped = head[0](torch.ones(1, 2000))
    assert 0.2 < (dropped == 0).float().mean() < 0.3


def test_the_fastai_head_has_the_layers_of_fastai():
    layers = [type(layer) for layer in FastaiHead(7, 3)]
    one, two = [nn.BatchNorm1d, nn.Dropout, nn.Linear], [nn.ReLU, nn.BatchNorm1d, nn.Dropout, nn.Linear]
    assert layers == [*one, *two]


def test_the_fastai_head_drops_half_as_much_before_its_hidden_layer():
    assert [layer.p for layer in FastaiHead(7, 3, dropout=0.5) if isinstance(layer, nn.Dropout)] == [
        0.25,
        0.5,
    ]


def test_the_fastai_head_starts_with_biases_of_zero():
    biases = [layer.bias for layer in FastaiHead(7, 3) if isinstance(layer, nn.Linear)]
    assert len(biases) == 2 and not any(bias.any() for bias in biases)


def test_the_fastai_head_starts_with_weights_of_kaimings_spread():
    torch.manual_seed(0)
    hidden = FastaiHead(200, 3, hidden=1000)[2]
    assert hidden.weight.std().item() == pytest.approx((2 / 200) ** 0.5, rel=0.02)
