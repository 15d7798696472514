"""Train the demo's five folds on the fast data path and on a slow reference: the accuracy must not differ.

`python benchmarks/folds.py` takes about 20 minutes on two cores; further arguments are overrides.
The reference reads the original file for every view and resamples it once, in float, as the mean of
many cubic samples in each pixel.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import cv2
import numpy as np
from numpy.typing import NDArray

from imageclf.data import PictureDataset, Request, read_picture
from imageclf.data.pictures.store import Shrunk
from imageclf.data.views.augmentation import Picture

PATHS = ("fast", "reference")
FOLDS = range(5)
# The first argument of the processes that this one starts.
TRAIN = "train-one"
SCORES = ("val/acc", "val/acc_tta", "val/acc_ensemble")


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="imageclf-folds-") as folder:
        for path in PATHS:
            runs = [run(path, fold, Path(folder, path), sys.argv[1:]) for fold in FOLDS]
            figures[path] = {name: round(mean(run[name] for run in runs), 4) for name in SCORES}
            print(f"{path:10} " + "  ".join(f"{name} {value:.4f}" for name, value in figures[path].items()))
    differences = {name: round(figures["fast"][name] - figures["reference"][name], 4) for name in SCORES}
    print("fast - reference  " + "  ".join(f"{name} {value:+.4f}" for name, value in differences.items()))
    print(json.dumps({**figures, "difference": differences}))


def run(path: str, fold: int, folder: Path, overrides: Sequence[str]) -> dict[str, float]:
    """Train one fold of the demo in a process of its own, and return what its summary says."""
    run_dir = folder / str(fold)
    # Nothing may come from, or go into, what other runs have cached.
    fixed = [
        f"data.fold={fold}",
        f"hydra.run.dir={run_dir}",
        "~callbacks.report",
        f"data.cache_dir={folder}/cache",
    ]
    subprocess.run(
        [sys.executable, __file__, TRAIN, path, *fixed, *overrides], check=True, capture_output=True
    )
    summary: dict[str, float] = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    scores = "  ".join(f"{name} {summary[name]:.4f}" for name in SCORES)
    print(f"{path}, fold {fold}: {scores}", flush=True)
    return summary


def train(path: str, overrides: Sequence[str]) -> None:
    """Be imageclf-train, on one of the two data paths."""
    from imageclf import train as command

    if path == "reference":
        use_reference()
    sys.argv = ["imageclf-train", *overrides]
    command.main()


def use_reference() -> None:
    """Let every dataset of this process read original files and resample them slowly."""
    PictureDataset._read = _read_original  # type: ignore[method-assign]
    PictureDataset._render = _render_slowly  # type: ignore[method-assign]


def resample(picture: Picture, to_picture: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return a view `[size, size, 3]` as the mean over each pixel's area of cubic samples of a picture."""
    step = np.sqrt((to_picture[:2, :2] ** 2).sum(axis=0)).max()
    number = max(2, int(np.ceil(2 * step)))
    places = (np.arange(size * number) + 0.5) / number - 0.5
    x, y = np.meshgrid(places, places)
    sources = np.einsum("ij,jhw->ihw", to_picture, np.stack([x, y, np.ones_like(x)]))
    sources = (sources[:2] / sources[2]).astype(np.float32)
    samples = cv2.remap(picture.astype(np.float32), *sources, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return samples.reshape(size, number, size, number, 3).mean(axis=(1, 3), dtype=np.float64)


def _read_original(dataset: PictureDataset, request: Request) -> list[Shrunk]:
    pictures = [read_picture(dataset._paths[row].decode()) for row in request.rows]
    return [Shrunk(picture, (picture.shape[1], picture.shape[0])) for picture in pictures]


def _render_slowly(
    dataset: PictureDataset, pictures: Sequence[Shrunk], request: Request, images: NDArray[np.uint8]
) -> None:
    views = dataset.viewing.views(request)
    to_pictures = dataset._maps(pictures, request, views)
    for index, (picture, _) in enumerate(pictures):
        view = resample(picture, to_pictures[index], request.size) / 255
        middle = picture.mean() / 255
        lit = (view - middle) * views.contrast[index] + middle + views.brightness[index]
        images[index] = np.rint(255 * lit.clip(0, 1))


if __name__ == "__main__":
    if sys.argv[1:2] == [TRAIN]:
        train(sys.argv[2], sys.argv[3:])
    else:
        main()
