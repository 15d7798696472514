"""Several labels of each picture: lesson2 as it is, fastai's fine_tune, and a linear probe, by their mAP.

`python benchmarks/multilabel.py FOLDER` takes about a quarter of an hour on two cores. The pictures are
mosaics of the demo's stamps, 2 x 2 with some places empty. Of five mosaics three are trained on, one is for
choosing, and one is for testing: nothing is chosen by it. A second test has mosaics of stamps that no other
mosaic shows. Both networks start from the same ImageNet weights and see as many pictures; the probe is a
logistic regression of each label on the features of these weights, with the penalty that suits the mosaics
for choosing best. The last line of the output is one of JSON with all figures.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from contest import BACKBONE, probe_features, standardised, train_lesson
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.multiclass import OneVsRestClassifier

SUPPORT = Path(__file__).parents[1] / "tests" / "support"
# After one epoch of the head. lesson2 has ten with augmentation, and reads each picture once for the features
# that it stores before them.
EPOCHS = 10
PENALTIES = (0.001, 0.01, 0.1, 1.0)

Predict = Callable[[pd.DataFrame], NDArray[Any]]
"""From mosaics to a probability of each label, `[N, C]`."""


class Mosaics(NamedTuple):
    """Tables of mosaics: file, tags, is_valid, and a column of 0 and 1 for each label.

    Args:
        known: to train on and to choose by.
        test: of the same stamps.
        test_new: of stamps that the others do not show.
    """

    known: pd.DataFrame
    test: pd.DataFrame
    test_new: pd.DataFrame

    @property
    def labels(self) -> list[str]:
        """Return the names of the labels."""
        return [name for name in self.known if name not in ("image", "file", "tags", "is_valid")]

    @property
    def chosen_by(self) -> pd.DataFrame:
        """Return the mosaics that a penalty is chosen by."""
        return self.known[self.known["is_valid"]]

    def mean_ap(self, table: pd.DataFrame, probabilities: NDArray[Any]) -> float:
        """Return the mean over the labels of the average precision."""
        return round(float(average_precision_score(table[self.labels].to_numpy(), probabilities)), 4)


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
    mosaics = make(options.folder, options.mosaics)
    if options.one:
        print(json.dumps(measured(CONTESTANTS[options.one], mosaics, options)))
        return
    figures = {}
    for name in options.only:
        done = subprocess.run(
            [sys.executable, *sys.argv, "--one", name], stdout=subprocess.PIPE, text=True, check=True
        )
        figures[name] = json.loads(done.stdout.splitlines()[-1])
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    print(json.dumps(figures))


def make(folder: Path, number: int) -> Mosaics:
    """Draw the mosaics where there are none yet, and return them."""
    sys.path.append(str(SUPPORT))
    from mosaics import STAMPS, make_mosaics

    stamps = sorted(STAMPS.glob("*/*.*"))
    new = stamps[4::5]
    for name, shown, count in (("known", sorted({*stamps} - {*new}), number), ("new", new, number // 5)):
        if not (folder / name / "labels.csv").exists():
            make_mosaics(folder / name, count, stamps=shown)
    known, test_new = read_table(folder / "known"), read_table(folder / "new")
    is_test = known.index % 5 == 4
    known.loc[~is_test, ["image", "tags", "is_valid"]].to_csv(folder / "known" / "split.csv", index=False)
    return Mosaics(known[~is_test].reset_index(drop=True), known[is_test], test_new)


def read_table(folder: Path) -> pd.DataFrame:
    """Return the mosaics of a folder; every fifth is for choosing."""
    table = pd.read_csv(folder / "labels.csv", keep_default_na=False)
    marks = table["tags"].str.get_dummies(" ")
    files = [folder / "images" / name for name in table["image"]]
    return table.assign(file=files, is_valid=table.index % 5 == 3).join(marks)


def measured(
    contestant: Callable[..., dict[str, Predict]], mosaics: Mosaics, options: Any
) -> dict[str, float]:
    """Return the seconds of the training, and the mAP of each way to predict on both tests."""
    started = time.monotonic()
    ways = contestant(mosaics, options)
    seconds = round(time.monotonic() - started, 1)
    tests = {"": mosaics.test, "_new": mosaics.test_new}
    scores = {
        f"{name}{suffix}": mosaics.mean_ap(table, predict(table))
        for suffix, table in tests.items()
        for name, predict in ways.items()
    }
    return scores | {"seconds": seconds}


def train_ours(mosaics: Mosaics, options: argparse.Namespace) -> dict[str, Predict]:
    """Train with imageclf-train, and predict with the final weights and with the reported model."""
    import imageclf

    run = train_lesson(options.folder / "known", options.size, ["task=multilabel", *options.overrides])
    final = imageclf.load(options.folder / "known" / "run", weights="final")
    return {
        "map": lambda table: final.predict(table["file"].tolist()).probabilities,
        "map_tta": lambda table: final.predict(table["file"].tolist(), tta="fastai07").probabilities,
        "map_reported": lambda table: run.predict(table["file"].tolist()).probabilities,
    }


def train_fastai(mosaics: Mosaics, options: argparse.Namespace) -> dict[str, Predict]:
    """Train with fastai's fine_tune as its documentation has it."""
    import timm  # noqa: F401
    from fastai.vision import all as fastai

    from imageclf.model.weights.pretrained import load_weights

    fastai.set_seed(42, reproducible=True)
    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.MultiCategoryBlock),
        get_x=lambda row: row["file"],
        get_y=lambda row: row["tags"].split(),
        splitter=fastai.ColSplitter("is_valid"),
        item_tfms=fastai.Resize(options.size, method="squish"),
        batch_tfms=[*fastai.aug_transforms(), fastai.Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    loaders = block.dataloaders(mosaics.known, bs=64, num_workers=0)
    learner = fastai.vision_learner(loaders, BACKBONE, pretrained=False, normalize=False)
    weights = load_weights("packaged", BACKBONE)
    assert weights is not None
    found = learner.model[0].model.load_state_dict(weights, strict=False)
    assert not found.missing_keys
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(options.epochs)
    assert list(loaders.vocab) == mosaics.labels

    def predict(table: pd.DataFrame, way: Callable[..., Sequence[Any]]) -> NDArray[Any]:
        """Return what the learner makes of mosaics that it has not seen."""
        with learner.no_bar(), learner.no_logging():
            return way(dl=loaders.test_dl(table))[0].numpy()

    return {
        "map": lambda table: predict(table, learner.get_preds),
        "map_tta": lambda table: predict(table, learner.tta),
    }


def probe(mosaics: Mosaics, options: argparse.Namespace) -> dict[str, Predict]:
    """Fit a logistic regression for each label, on features of the pretrained weights."""
    taught = mosaics.known[~mosaics.known["is_valid"]]
    known = probe_features(taught["file"].tolist(), options.size)

    def features(table: pd.DataFrame) -> NDArray[Any]:
        """Return features on the scale of those that are taught."""
        return standardised(probe_features(table["file"].tolist(), options.size), known)

    def fitted(penalty: float) -> OneVsRestClassifier:
        """Return the probe with a penalty."""
        model = OneVsRestClassifier(LogisticRegression(C=penalty, max_iter=1000))
        return model.fit(standardised(known, known), taught[mosaics.labels].to_numpy())

    models, choosing = [fitted(penalty) for penalty in PENALTIES], features(mosaics.chosen_by)
    best = max(models, key=lambda model: mosaics.mean_ap(mosaics.chosen_by, model.predict_proba(choosing)))
    return {"map": lambda table: best.predict_proba(features(table))}


CONTESTANTS = {"imageclf": train_ours, "fastai": train_fastai, "probe": probe}

if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    main()
