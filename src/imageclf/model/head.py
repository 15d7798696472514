"""Heads: features of the body `[B, F]` to logits `[B, C]`."""

from torch import nn


class LinearHead(nn.Sequential):
    """Dropout, then one linear layer."""

    def __init__(self, in_features: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__(nn.Dropout(dropout), nn.Linear(in_features, num_classes))


class FastaiHead(nn.Sequential):
    """Batch norm, dropout, hidden layer, ReLU, batch norm, dropout, linear layer.

    The first dropout has half the probability of the last one.

    Source: `ConvnetBuilder.get_fc_layers` of fastai 0.7, on the features that the body pools.
    """

    def __init__(self, in_features: int, num_classes: int, hidden: int = 512, dropout: float = 0.5) -> None:
        super().__init__(
            nn.BatchNorm1d(in_features),
            nn.Dropout(dropout / 2),
            nn.Linear(in_features, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, num_classes),
        )
        # As in fastai; torch's default is not meant for layers followed by ReLU.
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)
