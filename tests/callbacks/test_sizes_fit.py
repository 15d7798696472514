"""Transformers through phases of several sizes, and with drop path, in real fits."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from small_runs import THREE_PHASES

from imageclf import InputError

Train = Callable[..., Path]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("rate", ["null", 0.3])
def test_a_transformer_goes_through_phases_of_several_sizes(train: Train, rate: object) -> None:
    run_dir = train(*THREE_PHASES, "model.backbone=test_vit", f"model.drop_path_rate={rate}")
    assert list(pd.read_csv(run_dir / "metrics.csv")["size"]) == [32, 32, 32, 32, 32, 48]
    state = torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"]
    # A token and the 10 x 10 patches of its own 160 px.
    assert state["backbone.pos_embed"].shape[1] == 101


def test_a_model_of_one_size_stops_before_it_trains(train: Train) -> None:
    with pytest.raises(InputError, match="test_coatnet takes no pictures of 48 px, but of 32 and 64"):
        train(*THREE_PHASES, "model.backbone=test_coatnet")
