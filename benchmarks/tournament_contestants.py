"""The contestants of tournament.py: each trains on `train` of a folder, and answers for `hidden` once."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tournament import VALID_PCT, Bout

BACKBONE = "tf_efficientnet_lite0"

MOST = 32
"""Pictures a step of the rivals, at most."""

Answers = NDArray[np.int64]
"""The predicted class of each hidden picture, in the order of `Pictures.hidden`."""


class Pictures:
    """The pictures of a bout: files, and the numbers of their classes in alphabetical order.

    Args:
        bout: names the folder and the seed.
    """

    def __init__(self, bout: Bout) -> None:
        from imageclf.data import FolderSource, Splitting
        from imageclf.data.loading import auto_batch_size

        self.root = Path(bout.folder)
        self.table = Splitting(VALID_PCT, "stratified", bout.seed, None, 5).apply(
            FolderSource(bout.folder, "train", None, None).read()
        )
        self.classes = list(self.table.classes)
        self.hidden = sorted(self.root.glob("hidden/*/*"))
        self.labels = np.array([self.classes.index(file.parent.name) for file in self.hidden])
        # As many steps as ours take, where there are few pictures; rivals at their defaults would take two.
        self.batch_size = min(MOST, auto_batch_size(len(self.table.rows("train"))))

    def files(self, split: str) -> tuple[list[Path], NDArray[np.int64]]:
        """Return the files of train or valid, and their classes."""
        rows = self.table.rows(split)
        files = [Path(self.table.paths[row]) for row in rows]
        return files, np.array([self.classes.index(file.parent.name) for file in files])


def result_of(bout: Bout) -> dict[str, Any]:
    """Return which hidden pictures a contestant has right, and its seconds of CPU, imports not counted."""
    _import(bout.contestant)
    pictures = Pictures(bout)
    started = time.process_time()
    if bout.contestant == "autogluon":
        answers, seconds = autogluon(bout, pictures)
    else:
        answers = CONTESTANTS[bout.contestant](bout, pictures)
        seconds = time.process_time() - started
    return {"right": (answers == pictures.labels).astype(int).tolist(), "seconds": round(seconds, 1)}


def _import(contestant: str) -> None:
    import timm  # noqa: F401

    import imageclf  # noqa: F401

    if contestant.startswith("fastai"):
        import fastai.vision.all  # noqa: F401


def ours(bout: Bout, pictures: Pictures, schedule: str) -> Answers:
    """Train a recipe as it is shipped, batch size included; the model that the run has chosen predicts."""
    import imageclf

    run = imageclf.train(
        *("data=folder", f"data.root={bout.folder}", "data.train=train", "data.valid=null"),
        *(f"data.valid_pct={VALID_PCT}", f"data.split_seed={bout.seed}", f"seed={bout.seed}"),
        *(f"data.size={bout.size}", "data.resize=squish"),
        *("data.num_workers=0", f"data.cache_dir={bout.run_dir}/cache", "~callbacks.report"),
        schedule=schedule,
        run_dir=bout.run_dir,
    )
    table = run.predict(pictures.hidden).to_pandas()
    return _numbers(table["prediction"], pictures)


@torch.no_grad()
def probe(bout: Bout, pictures: Pictures) -> Answers:
    """Fit a logistic regression on features of the pretrained weights, its penalty by cross-validation."""
    from honest_linear import squared
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from imageclf.model.backbone import create_backbone, data_config

    network = create_backbone(BACKBONE, "packaged", bout.size).eval()
    expected = data_config(network)
    mean, std = (torch.tensor(each)[:, None, None] for each in (expected.mean, expected.std))

    def features(files: Sequence[Path]) -> NDArray[np.float32]:
        """Return the features of files, `[N, F]`."""
        batches = [files[first : first + 64] for first in range(0, len(files), 64)]
        made = [
            network(torch.stack([(squared(file, bout.size) - mean) / std for file in batch]))
            for batch in batches
        ]
        return torch.cat(made).numpy()

    # It selects nothing on the validation pictures, and learns from them too.
    (seen, labels), (more, their_labels) = pictures.files("train"), pictures.files("valid")
    every, targets = [*seen, *more], np.concatenate([labels, their_labels])
    folds = min(5, int(np.bincount(targets).min()))
    regression = LogisticRegressionCV(
        Cs=np.logspace(-4, 1, 6),
        cv=folds,
        scoring="neg_log_loss",
        l1_ratios=(0.0,),
        max_iter=2000,
        use_legacy_attributes=False,
    )
    answers: Answers = (
        make_pipeline(StandardScaler(), regression)
        .fit(features(every), targets)
        .predict(features(pictures.hidden))
    )
    return answers


def fastai(bout: Bout, pictures: Pictures, finds: bool = False, freezes_bn: bool = False) -> Answers:
    """Train by fine_tune as its documentation has it, with TTA.

    Args:
        bout: what to do.
        pictures: to train on.
        finds: take the rate that its lr_find suggests for the head, instead of the default.
        freezes_bn: keep the batch norms of the body as they are (`train_bn=False`).
    """
    from fastai.vision import all as fast

    from imageclf.model.weights.pretrained import load_weights

    fast.set_seed(bout.seed, reproducible=True)
    (train, labels), (valid, their_labels) = pictures.files("train"), pictures.files("valid")
    names = dict(
        zip([*train, *valid], [pictures.classes[each] for each in [*labels, *their_labels]], strict=True)
    )
    block = fast.DataBlock(
        blocks=(fast.ImageBlock, fast.CategoryBlock(vocab=pictures.classes)),
        get_y=lambda file: names[file],
        splitter=fast.IndexSplitter(range(len(train), len(names))),
        item_tfms=fast.Resize(bout.size, method="squish"),
        batch_tfms=[*fast.aug_transforms(), fast.Normalize.from_stats([0.5] * 3, [0.5] * 3)],
    )
    loaders = block.dataloaders(list(names), bs=pictures.batch_size, num_workers=0)
    learner = fast.vision_learner(
        loaders, BACKBONE, pretrained=False, normalize=False, metrics=fast.accuracy, train_bn=not freezes_bn
    )
    weights = load_weights("packaged", BACKBONE)
    assert weights is not None
    assert not learner.model[0].model.load_state_dict(weights, strict=False).missing_keys
    learner.freeze()
    with learner.no_bar(), learner.no_logging():
        rate = learner.lr_find(show_plot=False).valley if finds else 2e-3
        # One epoch of the head alone is among them.
        learner.fine_tune(max(1, bout.epochs - 1), base_lr=rate)
        probabilities, _ = learner.tta(dl=loaders.test_dl(pictures.hidden))
    return np.asarray(probabilities.argmax(1))


def timm_recipe(bout: Bout, pictures: Pictures) -> Answers:
    """Train by stock timm: AdamW, layer decay 0.75, RandAugment, mixup, label smoothing, EMA, cosine.

    The learning rate, 1e-3, is usual for AdamW at such batches; the last weights' average answers.
    """
    import timm
    from timm.data.mixup import Mixup
    from timm.loss import SoftTargetCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import CosineLRScheduler
    from timm.utils import ModelEmaV3

    from imageclf.model.weights.pretrained import load_weights

    torch.manual_seed(bout.seed)
    np.random.seed(bout.seed)
    network = timm.create_model(BACKBONE, num_classes=len(pictures.classes), drop_rate=0.1)
    weights = load_weights("packaged", BACKBONE)
    assert weights is not None
    body = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier.")}
    network.load_state_dict(body, strict=False)
    loader = _timm_loader(*pictures.files("train"), pictures.batch_size, bout.size)
    optimizer = create_optimizer_v2(network, opt="adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.75)
    steps = len(loader)
    schedule = CosineLRScheduler(
        optimizer, t_initial=bout.epochs * steps, warmup_t=steps, warmup_lr_init=1e-6, t_in_epochs=False
    )
    average = ModelEmaV3(network, decay=0.998, use_warmup=True)
    mixup = Mixup(mixup_alpha=0.2, label_smoothing=0.1, num_classes=len(pictures.classes))
    loss_of = SoftTargetCrossEntropy()
    network.train()
    for step, (images, labels) in enumerate(batch for _ in range(bout.epochs) for batch in loader):
        # Mixup pairs a batch with itself, and takes an even number.
        even = len(images) - len(images) % 2
        mixed, targets = (
            mixup(images[:even], labels[:even])
            if even
            else (images, nn.functional.one_hot(labels, len(pictures.classes)).float())
        )
        schedule.step_update(step)
        optimizer.zero_grad()
        loss_of(network(mixed), targets).backward()
        optimizer.step()
        average.update(network, step)
    return _timm_answers(average.module.eval(), pictures.hidden, bout)


def autogluon(bout: Bout, pictures: Pictures) -> tuple[Answers, float]:
    """Let the Python that has AutoGluon train; return also the seconds of CPU that it counted itself."""
    assert bout.python is not None
    run_dir = Path(bout.run_dir)
    run_dir.mkdir(parents=True)
    _timm_folder(run_dir / "weights", bout.size)
    split = {name: pictures.files(name) for name in ("train", "valid")} | {
        "hidden": (pictures.hidden, pictures.labels)
    }
    rows = [
        (str(file), int(label), name) for name, of in split.items() for file, label in zip(*of, strict=True)
    ]
    pd.DataFrame(rows, columns=["image", "label", "split"]).to_csv(run_dir / "pictures.csv", index=False)
    command = [bout.python, str(Path(__file__).with_name("tournament_autogluon.py")), str(run_dir)]
    how = [str(pictures.batch_size), str(bout.epochs), str(bout.seed)]
    done = subprocess.run([*command, *how], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return np.array(found["answers"]), found["seconds"]


def _timm_folder(folder: Path, size: int) -> None:
    """Write the pretrained backbone as AutoGluon reads it from a folder."""
    from imageclf.model.weights.pretrained import load_weights

    weights = load_weights("packaged", BACKBONE)
    assert weights is not None
    folder.mkdir()
    body = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier.")}
    torch.save(body, folder / "pytorch_model.bin")
    expected = {"input_size": [3, size, size], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 1.0}
    config = {
        "architecture": BACKBONE,
        "num_features": len(weights["classifier.weight"][0]),
        "pretrained_cfg": {**expected, "interpolation": "bicubic"},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _timm_loader(files: Sequence[Path], labels: NDArray[np.int64], batch_size: int, size: int) -> Any:
    from timm.data import create_transform

    view = create_transform(
        size,
        is_training=True,
        auto_augment="rand-m7-mstd0.5-inc1",
        scale=(0.35, 1.0),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    data = [(file, int(label)) for file, label in zip(files, labels, strict=True)]
    return torch.utils.data.DataLoader(
        data,
        batch_size,
        shuffle=True,
        collate_fn=partial(_collate, view),
        drop_last=len(data) > batch_size,
    )


def _collate(view: Callable[[Any], Tensor], rows: Sequence[tuple[Path, int]]) -> tuple[Tensor, Tensor]:
    from PIL import Image

    images = torch.stack([view(Image.open(file).convert("RGB")) for file, _ in rows])
    return images, torch.tensor([label for _, label in rows])


@torch.no_grad()
def _timm_answers(network: nn.Module, files: Sequence[Path], bout: Bout) -> Answers:
    from honest_linear import squared

    batches = [files[first : first + 64] for first in range(0, len(files), 64)]
    logits = [
        network(torch.stack([(squared(file, bout.size) - 0.5) / 0.5 for file in batch])) for batch in batches
    ]
    return torch.cat(logits).argmax(1).numpy()


def _numbers(predictions: "pd.Series[str]", pictures: Pictures) -> Answers:
    return np.array([pictures.classes.index(name) for name in predictions])


CONTESTANTS: dict[str, Callable[[Bout, Pictures], Answers]] = {
    "lesson2": partial(ours, schedule="lesson2"),
    "minimal": partial(ours, schedule="minimal"),
    "probe": probe,
    "fastai": fastai,
    "fastai-found": partial(fastai, finds=True),
    "fastai-frozen-bn": partial(fastai, freezes_bn=True),
    "timm": timm_recipe,
}
