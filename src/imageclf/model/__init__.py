"""The network and its training step: any timm backbone, a head, layer groups, losses, weights."""

from imageclf.model.backbone import (
    DataConfig,
    check_known,
    create_backbone,
    data_config,
    expected_crop_pct,
    num_features,
)
from imageclf.model.classifier import ImageClassifier
from imageclf.model.compiling import compile_backbone
from imageclf.model.groups import freeze_to, layer_groups, learning_norms, parameter_groups
from imageclf.model.head import FastaiHead, LinearHead
from imageclf.model.losses import BinaryCrossEntropy, FocalLoss, MultilabelCrossEntropy, class_weights
from imageclf.model.metrics import (
    BalancedAccuracy,
    RankCorrelation,
    RootMeanSquaredError,
    SamplesFBeta,
    check_metric,
    r2_score,
)
from imageclf.model.mixing import Mixing
from imageclf.model.module import ClassifierModule
from imageclf.model.predictions import Collector, Predictions
from imageclf.model.weights.averaging import average_probabilities, average_weights
from imageclf.model.weights.batch_norm import refresh_norms
from imageclf.model.weights.files import weights_digest
from imageclf.model.weights.pretrained import load_weights
from imageclf.model.weights.soup import Score, greedy_soup

__all__ = [
    "BalancedAccuracy",
    "BinaryCrossEntropy",
    "ClassifierModule",
    "Collector",
    "DataConfig",
    "FastaiHead",
    "FocalLoss",
    "ImageClassifier",
    "LinearHead",
    "Mixing",
    "MultilabelCrossEntropy",
    "Predictions",
    "RankCorrelation",
    "RootMeanSquaredError",
    "SamplesFBeta",
    "Score",
    "average_probabilities",
    "average_weights",
    "check_known",
    "check_metric",
    "class_weights",
    "compile_backbone",
    "create_backbone",
    "data_config",
    "expected_crop_pct",
    "freeze_to",
    "greedy_soup",
    "layer_groups",
    "learning_norms",
    "load_weights",
    "num_features",
    "parameter_groups",
    "r2_score",
    "refresh_norms",
    "weights_digest",
]
