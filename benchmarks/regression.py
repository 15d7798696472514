"""Numbers of pictures: lesson2 as it is, and a linear probe, by the share of the variance that they explain.

`python benchmarks/regression.py FOLDER` takes about ten minutes on two cores. The pictures are stamps of the
demo on grey, and their numbers the size and the mean hue of the stamp; every fifth picture is held out. Both
start from the same ImageNet weights; the probe is a ridge regression of each number on the features of these
weights, with the penalty that suits the held-out pictures best. The last line of the output is one of JSON
with all figures: R2 of each number, and their mean.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from contest import probe_features, standardised, train_lesson
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

MEASURED = Path(__file__).parents[1] / "tests" / "support" / "measured.py"
NUMBERS = ["hue", "size"]
PENALTIES = (1.0, 10.0, 100.0, 1000.0, 10_000.0)

Scores = dict[str, float]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="receives the pictures and the run")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--overrides", nargs="*", default=[], help="of imageclf-train")
    options = parser.parse_args()
    if not (options.folder / "numbers.csv").exists():
        subprocess.run([sys.executable, MEASURED, options.folder, str(options.pictures)], check=True)
    table = read_table(options.folder)
    figures = {}
    for name, contestant in (("probe", probe), ("imageclf", train_ours)):
        started = time.monotonic()
        scores = contestant(table, options)
        figures[name] = scores | {"seconds": round(time.monotonic() - started, 1)}
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    print(json.dumps(figures))


def read_table(folder: Path) -> pd.DataFrame:
    """Return the pictures: image, size, hue and is_valid."""
    table = pd.read_csv(folder / "numbers.csv")
    table["is_valid"] = table.index % 5 == 4
    table.to_csv(folder / "split.csv", index=False)
    return table


def explained(table: pd.DataFrame, predicted: Any, suffix: str = "") -> Scores:
    """Return R2 of each number on the held-out pictures, and the mean."""
    truth = table.loc[table["is_valid"], NUMBERS].to_numpy()
    each = r2_score(truth, predicted, multioutput="raw_values")
    scores = dict(zip(NUMBERS, each, strict=True)) | {"r2": each.mean()}
    return {f"{name}{suffix}": round(float(value), 4) for name, value in scores.items()}


def train_ours(table: pd.DataFrame, options: argparse.Namespace) -> Scores:
    """Train with imageclf-train, and return the scores of the final weights and of the reported model."""
    import imageclf

    numbers = ["task=regression", f"data.label_column=[{','.join(NUMBERS)}]"]
    run = train_lesson(options.folder, options.size, [*numbers, *options.overrides])
    files = [options.folder / "images" / name for name in table.loc[table["is_valid"], "image"]]
    final = imageclf.load(options.folder / "run", weights="final")
    return {
        **explained(table, final.predict(files).probabilities),
        **explained(table, final.predict(files, tta="fastai07").probabilities, "_tta"),
        **explained(table, run.predict(files).probabilities, "_reported"),
    }


def probe(table: pd.DataFrame, options: argparse.Namespace) -> Scores:
    """Fit a ridge regression of each number, on features of the pretrained weights."""
    features = probe_features([options.folder / "images" / name for name in table["image"]], options.size)
    features = standardised(features, features)
    held_out, truth = table["is_valid"].to_numpy(), table[NUMBERS].to_numpy()
    models = [Ridge(penalty).fit(features[~held_out], truth[~held_out]) for penalty in PENALTIES]
    # Each number has the penalty that suits it.
    found = [explained(table, model.predict(features[held_out])) for model in models]
    best = {name: max(each[name] for each in found) for name in NUMBERS}
    return best | {"r2": round(sum(best.values()) / len(best), 4)}


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    main()
