"""The network and its training step: any timm backbone, a head, layer groups, losses, weights."""

# What a config names; everything else is imported from its module.
from imageclf.model.head import FastaiHead, LinearHead
from imageclf.model.losses import BinaryCrossEntropy, FocalLoss, MultilabelCrossEntropy
from imageclf.model.metrics import (
    BalancedAccuracy,
    RankCorrelation,
    RootMeanSquaredError,
    SamplesFBeta,
    r2_score,
)
from imageclf.model.mixing import Mixing

__all__ = [
    "BalancedAccuracy",
    "BinaryCrossEntropy",
    "FastaiHead",
    "FocalLoss",
    "LinearHead",
    "Mixing",
    "MultilabelCrossEntropy",
    "RankCorrelation",
    "RootMeanSquaredError",
    "SamplesFBeta",
    "r2_score",
]
