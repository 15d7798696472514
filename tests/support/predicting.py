"""Options of imageclf-predict: those of its YAML, where none are given."""

from typing import Any

import yaml

from imageclf.commands.predict_options import PredictOptions
from imageclf.configs.paths import CONF_DIR


def predict_options(**given: Any) -> PredictOptions:
    """Return the command's defaults with some of them replaced; everything is read in this process."""
    with open(f"{CONF_DIR}/commands/predict.yaml", encoding="utf-8") as file:  # noqa: PTH123
        node = yaml.safe_load(file)
    own = {name: value for name, value in node.items() if name not in ("defaults", "hydra")}
    return PredictOptions(**(own | {"num_workers": 0} | given))
