"""What multilabel.py and regression.py have in common: the lesson on a CSV, features for a linear probe."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from honest_linear import squared
from numpy.typing import NDArray

if TYPE_CHECKING:
    import imageclf

BACKBONE = "tf_efficientnet_lite0"


def train_lesson(folder: Path, size: int, overrides: Sequence[str]) -> "imageclf.Run":
    """Train the lesson on `split.csv` and `images` of a folder, whose column is_valid says what is held out.

    Args:
        folder: receives the run directory `run`, too.
        size: pixels a side, to which pictures are squeezed.
        overrides: of imageclf-train, such as task=multilabel.
    """
    import imageclf

    of_csv = ["data=csv", f"data.root={folder}", "data.csv=split.csv", "data.images=images"]
    of_csv += ["data.suffix=null", "data.valid_column=is_valid", f"data.size={size}", "data.resize=squish"]
    return imageclf.train(*of_csv, "~callbacks.report", *overrides, run_dir=folder / "run")


@torch.no_grad()
def probe_features(files: Sequence[Path], size: int) -> NDArray[Any]:
    """Return what the pretrained backbone makes of pictures, `[N, F]`."""
    from imageclf.model.backbone import create_backbone, data_config

    network = create_backbone(BACKBONE, "packaged", size).eval()
    expected = data_config(network)
    mean, std = (torch.tensor(each)[:, None, None] for each in (expected.mean, expected.std))
    batches = [files[start : start + 64] for start in range(0, len(files), 64)]
    found = [network(torch.stack([(squared(file, size) - mean) / std for file in each])) for each in batches]
    return torch.cat(found).numpy()


def standardised(features: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Return features with the mean and the deviation of others, `[M, F]`, taken out."""
    return np.asarray((features - like.mean(0)) / (like.std(0) + 1e-6))
