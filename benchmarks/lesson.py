"""Train the same backbone with the same weights on the same folds, here and with fastai's fine_tune.

`python benchmarks/lesson.py` takes about 20 minutes on two cores. Both have one epoch of the head alone
and four of more, at the same size, batch size and number of workers; both end with test-time
augmentation. Each run is a process of its own, by turns; its time starts when everything is imported.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

from sets import SETS, make_set

CONTESTANTS = ("imageclf", "fastai")
SCORES = ("accuracy", "accuracy_tta", "seconds")
BACKBONE = "tf_efficientnet_lite0"
# The schedule of both: one epoch of the head, four of more. Ours leaves the first layers, which see edges
# and colours in any picture, and batch norm as they are; fine_tune trains all of them.
EPOCHS = 4
PHASES = {
    "head": "{lr: 1e-2, unfreeze_to: head, augment: false, precompute: true}",
    "finetune": f"{{n_cycles: 2, cycle_mult: {EPOCHS - 1}, lr: 1e-3, lr_ratio: 3.16, unfreeze_to: body1, "
    "bn: eval, warmup: 0.5}",
}


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=["stamps", "digits"])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory(prefix="imageclf-lesson-") as temporary:
        for name in options.sets:
            folder = make_set(name, Path(temporary, "sets"))
            rows = [one_fold(folder, fold, options, Path(temporary, name)) for fold in range(options.folds)]
            figures[name] = summary(rows)
            print(f"{name}: {json.dumps(figures[name])}", flush=True)
    print(json.dumps(figures))


def one_fold(folder: Path, fold: int, options: argparse.Namespace, runs: Path) -> dict[str, dict[str, float]]:
    """Train a fold with each contestant, and return what each reports."""
    results = {}
    for contestant in CONTESTANTS:
        task = {
            "folder": str(folder),
            "fold": fold,
            "size": options.size,
            "batch_size": options.batch_size,
            "workers": options.workers,
            "run_dir": str(runs / f"{contestant}-{fold}"),
        }
        command = [sys.executable, __file__, "--one", contestant, json.dumps(task)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        results[contestant] = json.loads(done.stdout.splitlines()[-1])
        print(f"fold {fold}, {contestant}: {results[contestant]}", flush=True)
    return results


def summary(rows: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return the means of each contestant over the folds, what TTA gains, and the ratio of the times."""
    means: dict[str, Any] = {
        each: {name: round(mean(row[each][name] for row in rows), 4) for name in SCORES} for each in rows[0]
    }
    for scores in means.values():
        scores["tta_gain"] = round(scores["accuracy_tta"] - scores["accuracy"], 4)
    return means | {"time_ratio": round(means["imageclf"]["seconds"] / means["fastai"]["seconds"], 3)}


def train_ours(task: dict[str, Any]) -> dict[str, float]:
    """Train with imageclf-train, and return its scores and seconds."""
    from imageclf import train

    phases = [f"~schedule.phases.{name}" for name in ("head", "augment", "finetune", "bigger")]
    phases += [f"+schedule.phases.{name}={values}" for name, values in PHASES.items()]
    overrides = [
        "data=folder",
        f"data.root={task['folder']}",
        "data.train=.",
        "data.valid=null",
        f"data.fold={task['fold']}",
        f"data.size={task['size']}",
        f"data.batch_size={task['batch_size']}",
        f"data.num_workers={task['workers']}",
        "data.resize=squish",
        f"hydra.run.dir={task['run_dir']}",
        # Nothing from earlier folds: each pays for its own pictures and features.
        f"data.cache_dir={task['run_dir']}/cache",
        "~callbacks.report",
        # What fine_tune does not do either.
        "~callbacks.fit_verdict",
        "~callbacks.snapshots",
        "callbacks.tta.when=end",
    ]
    sys.argv = ["imageclf-train", *phases, *overrides]
    started = time.monotonic()
    try:
        train.main()
    except SystemExit as leaving:
        if leaving.code != 0:
            raise
    seconds = time.monotonic() - started
    scores = json.loads(Path(task["run_dir"], "summary.json").read_text(encoding="utf-8"))
    return {"accuracy": scores["val/acc"], "accuracy_tta": scores["val/acc_tta"], "seconds": seconds}


def train_fastai(task: dict[str, Any]) -> dict[str, float]:
    """Train with fastai's fine_tune as its documentation has it, and return its scores and seconds."""
    import timm  # noqa: F401
    from fastai.vision import all as fastai

    from imageclf.data import FolderSource, Splitting
    from imageclf.model.weights.pretrained import load_weights

    started = time.monotonic()
    table = FolderSource(task["folder"], ".", None, None).read()
    rows = Splitting(0.2, "stratified", 42, task["fold"], 5).apply(table).rows("valid")
    fastai.set_seed(task["fold"], reproducible=True)
    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.CategoryBlock),
        get_x=lambda row: table.paths[row],
        get_y=lambda row: table.frame["label"].iloc[row],
        splitter=fastai.IndexSplitter(rows),
        item_tfms=fastai.Resize(task["size"], method="squish"),
        batch_tfms=[
            *fastai.aug_transforms(),
            fastai.Normalize.from_stats([0.5] * 3, [0.5] * 3),
        ],
    )
    loaders = block.dataloaders(range(len(table)), bs=task["batch_size"], num_workers=task["workers"])
    learner = fastai.vision_learner(
        loaders, BACKBONE, pretrained=False, normalize=False, metrics=fastai.accuracy
    )
    weights = load_weights("packaged", BACKBONE)
    assert weights is not None
    # Of the file, the classifier of ImageNet alone is not wanted.
    found = learner.model[0].model.load_state_dict(weights, strict=False)
    assert not found.missing_keys and set(found.unexpected_keys) == {"classifier.weight", "classifier.bias"}
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(EPOCHS)
        accuracy = float(learner.validate()[1])
        probabilities, targets = learner.tta()
    return {
        "accuracy": accuracy,
        "accuracy_tta": float((probabilities.argmax(1) == targets).float().mean()),
        "seconds": time.monotonic() - started,
    }


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if sys.argv[1:2] == ["--one"]:
        trainers = {"imageclf": train_ours, "fastai": train_fastai}
        print(json.dumps(trainers[sys.argv[2]](json.loads(sys.argv[3]))))
    else:
        main()
