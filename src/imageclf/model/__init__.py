"""The network and how it learns: any timm backbone, a head, layer groups, weights without a hub."""

from imageclf.model.averaging import average_probabilities, average_weights
from imageclf.model.backbone import DataConfig, create_backbone, data_config, num_features
from imageclf.model.classifier import ImageClassifier
from imageclf.model.digest import weights_digest
from imageclf.model.groups import LayerGroups, freeze_to, layer_groups, parameter_groups
from imageclf.model.head import FastaiHead, LinearHead
from imageclf.model.mixing import Mixing
from imageclf.model.module import ClassifierModule, Predictions
from imageclf.model.weights import body_weights, efficientnet_lite_to_timm, load_weights

__all__ = [
    "ClassifierModule",
    "DataConfig",
    "FastaiHead",
    "ImageClassifier",
    "LayerGroups",
    "LinearHead",
    "Mixing",
    "Predictions",
    "average_probabilities",
    "average_weights",
    "body_weights",
    "create_backbone",
    "data_config",
    "efficientnet_lite_to_timm",
    "freeze_to",
    "layer_groups",
    "load_weights",
    "num_features",
    "parameter_groups",
    "weights_digest",
]
