"""Several labels of each picture: lesson2 as it is, fastai's fine_tune, and a linear probe, by their mAP.

`python benchmarks/multilabel.py FOLDER` takes about a quarter of an hour on two cores. The pictures are
mosaics of the demo's stamps, 2 x 2 with some places empty, of which every fifth is held out. Both networks
start from the same ImageNet weights and see each picture as often with augmentation; the probe is a logistic
regression of each label on the features of these weights, with the penalty that suits the held-out pictures
best. The last line of the output is one of JSON with all figures.
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
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.multiclass import OneVsRestClassifier

BACKBONE = "tf_efficientnet_lite0"
MOSAICS = Path(__file__).parents[1] / "tests" / "support" / "mosaics.py"
# After one epoch of the head, as lesson2 has two of `augment`, six of `finetune` and two of `bigger`.
EPOCHS = 9
PENALTIES = (0.001, 0.01, 0.1, 1.0)

Scores = dict[str, float]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="receives the mosaics and the run")
    parser.add_argument("--mosaics", type=int, default=2000)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of fastai, after one with a frozen body")
    parser.add_argument("--overrides", nargs="*", default=[], help="of imageclf-train")
    parser.add_argument("--only", nargs="+", choices=tuple(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument("--one", choices=tuple(CONTESTANTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        started = time.monotonic()
        scores = CONTESTANTS[options.one](read_table(options.folder), options)
        print(json.dumps(scores | {"seconds": round(time.monotonic() - started, 1)}))
        return
    if not (options.folder / "labels.csv").exists():
        subprocess.run([sys.executable, MOSAICS, options.folder, str(options.mosaics)], check=True)
    figures = {}
    for name in options.only:
        done = subprocess.run(
            [sys.executable, *sys.argv, "--one", name], stdout=subprocess.PIPE, text=True, check=True
        )
        figures[name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    print(json.dumps(figures))


def read_table(folder: Path) -> pd.DataFrame:
    """Return the mosaics: image, tags, is_valid, and a column of 0 and 1 for each label."""
    table = pd.read_csv(folder / "labels.csv", keep_default_na=False)
    table["is_valid"] = table.index % 5 == 4
    table.to_csv(folder / "split.csv", index=False)
    return table.join(table["tags"].str.get_dummies(" "))


def labels_of(table: pd.DataFrame) -> list[str]:
    """Return the names of the labels."""
    return sorted(set(table.columns) - {"image", "tags", "is_valid"})


def mean_ap(table: pd.DataFrame, probabilities: Any) -> float:
    """Return the mean over the labels of the average precision on the held-out mosaics."""
    truth = table.loc[table["is_valid"], labels_of(table)].to_numpy()
    return round(float(average_precision_score(truth, probabilities, average="macro")), 4)


def train_ours(table: pd.DataFrame, options: argparse.Namespace) -> Scores:
    """Train with imageclf-train, and return the scores of the final weights."""
    import imageclf

    overrides = ["task=multilabel", "data=csv", f"data.root={options.folder}", "data.csv=split.csv"]
    overrides += ["data.images=images", "data.suffix=null", "data.valid_column=is_valid"]
    overrides += [f"data.size={options.size}", "data.resize=squish", "~callbacks.report", *options.overrides]
    run = imageclf.train(*overrides, run_dir=options.folder / "run")
    files = [options.folder / "images" / name for name in table.loc[table["is_valid"], "image"]]
    final = imageclf.load(options.folder / "run", weights="final")
    with_views = final.predict(files, tta="fastai07").probabilities
    return {
        "map": mean_ap(table, final.predict(files).probabilities),
        "map_tta": mean_ap(table, with_views),
        "map_reported": mean_ap(table, run.predict(files).probabilities),
    }


def train_fastai(table: pd.DataFrame, options: argparse.Namespace) -> Scores:
    """Train with fastai's fine_tune as its documentation has it."""
    import timm  # noqa: F401
    from fastai.vision import all as fastai

    from imageclf.model import load_weights

    fastai.set_seed(42, reproducible=True)
    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.MultiCategoryBlock),
        get_x=lambda row: options.folder / "images" / row["image"],
        get_y=lambda row: row["tags"].split(),
        splitter=fastai.ColSplitter("is_valid"),
        item_tfms=fastai.Resize(options.size, method="squish"),
        batch_tfms=[*fastai.aug_transforms(), fastai.Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    loaders = block.dataloaders(table, bs=64, num_workers=0)
    learner = fastai.vision_learner(loaders, BACKBONE, pretrained=False, normalize=False)
    weights = load_weights("packaged", BACKBONE)
    assert weights is not None
    found = learner.model[0].model.load_state_dict(weights, strict=False)
    assert not found.missing_keys
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs)
        plain, _ = learner.get_preds()
        views, _ = learner.tta()
    assert list(loaders.vocab) == labels_of(table)
    return {"map": mean_ap(table, plain), "map_tta": mean_ap(table, views)}


@torch.no_grad()
def probe(table: pd.DataFrame, options: argparse.Namespace) -> Scores:
    """Fit a logistic regression for each label, on features of the pretrained weights."""
    from honest_linear import squared

    from imageclf.model.backbone import create_backbone, data_config

    network = create_backbone(BACKBONE, "packaged", options.size).eval()
    expected = data_config(network)
    mean, std = (torch.tensor(each)[:, None, None] for each in (expected.mean, expected.std))
    files = [options.folder / "images" / name for name in table["image"]]
    pixels = torch.stack([(squared(file, options.size) - mean) / std for file in files])
    features = torch.cat([network(batch) for batch in torch.split(pixels, 64)])
    features = ((features - features.mean(0)) / (features.std(0) + 1e-6)).numpy()
    held_out, truth = table["is_valid"].to_numpy(), table[labels_of(table)].to_numpy()
    found = []
    for penalty in PENALTIES:
        model = OneVsRestClassifier(LogisticRegression(C=penalty, max_iter=1000))
        model.fit(features[~held_out], truth[~held_out])
        found.append(mean_ap(table, model.predict_proba(features[held_out])))
    return {"map": max(found)}


CONTESTANTS = {"imageclf": train_ours, "fastai": train_fastai, "probe": probe}

if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    main()
