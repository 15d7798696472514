"""What one reader or trainer does with one fault: `python fault_probes.py READER FAULT FOLDER`, in a process.

Prints what it found as JSON; a failure leaves its message on standard error, as users would see it.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, Resize, ToTensor

Pixels = NDArray[np.uint8]


class Listed(NamedTuple):
    """What a reader makes of a folder.

    Args:
        paths: of the training pictures.
        classes: number of each class for training.
        held_out: number of each class for validation.
        read: returns a picture as the network would get it, before it is resized.
    """

    paths: list[str]
    classes: dict[str, int]
    held_out: dict[str, int]
    read: Callable[[str], Pixels]


def imageclf(folder: Path) -> Listed:
    """List by imageclf, as a training does before it begins."""
    from imageclf import InputError
    from imageclf.data import Caching, FolderSource, describe, read_picture, unreadable

    table = FolderSource(str(folder), "train", "valid", None).read()
    paths = [table.paths[row] for row in table.rows("train")]
    faults = unreadable(paths, Caching(cache="none", cache_dir=None, cache_gb=1, fingerprint="stat"))
    if faults:
        raise InputError(describe(list(faults.values())))
    numbers = {name: number for number, name in enumerate(table.classes)}
    return Listed(paths, numbers, numbers, read_picture)


def torchvision(folder: Path) -> Listed:
    """List by torchvision's ImageFolder."""
    train, valid = ImageFolder(folder / "train"), ImageFolder(folder / "valid")
    places = {path: place for place, (path, _) in enumerate(train.samples)}
    return Listed(
        [path for path, _ in train.samples],
        train.class_to_idx,
        valid.class_to_idx,
        lambda path: np.asarray(train[places[path]][0]),
    )


def timm(folder: Path) -> Listed:
    """List by timm's reader of folders."""
    from timm.data import create_dataset

    train = create_dataset("", root=str(folder), split="train")
    valid = create_dataset("", root=str(folder), split="valid")
    paths = [train.filename(place, absolute=True) for place in range(len(train))]
    places = {path: place for place, path in enumerate(paths)}
    numbers, held_out = train.reader.class_to_idx, valid.reader.class_to_idx
    return Listed(paths, numbers, held_out, lambda path: np.asarray(train[places[path]][0]))


def fastai(folder: Path) -> Listed:
    """List by fastai's ImageDataLoaders.from_folder."""
    from fastai.vision.all import ImageDataLoaders
    from fastai.vision.all import Resize as Square

    loaders = ImageDataLoaders.from_folder(folder, item_tfms=Square(32), bs=2, num_workers=0)
    paths = [str(path) for path in loaders.train_ds.items]
    numbers = {str(name): number for number, name in enumerate(loaders.vocab)}
    # Validation is read as well: classes that it alone has show then.
    list(loaders.valid)
    places = {path: place for place, path in enumerate(paths)}
    return Listed(paths, numbers, numbers, lambda path: np.asarray(loaders.train_ds[places[path]][0]))


READERS: dict[str, Callable[[Path], Listed]] = {
    "imageclf": imageclf,
    "torchvision": torchvision,
    "timm": timm,
    "fastai": fastai,
}


def read_all(listed: Listed) -> dict[str, Any]:
    """Read every picture, and say what can be judged from outside."""
    odd = {path: listed.read(path) for path in listed.paths if "odd" in Path(path).name}
    for path in listed.paths:
        listed.read(path)
    pixels = next(iter(odd.values()), np.zeros((0, 0, 3), np.uint8))
    return {
        "pictures": len(listed.paths),
        "classes": sorted(listed.classes),
        "same numbers": all(listed.held_out.get(name, at) == at for name, at in listed.classes.items()),
        "shape": pixels.shape[:2],
        "white": float((pixels == 255).mean()) if pixels.size else 0.0,
    }


class Small(pl.LightningModule):
    """A network that a stock Trainer trains on pictures of 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(768, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 2)
        )

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Return the loss."""
        return cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(self.parameters(), 1e-3)


class Provoke(pl.Callback):
    """Provoke a fault at one batch of a training, Lightning's or ours, once.

    Args:
        run_dir: of the run.
        kind: of the fault.
    """

    def __init__(self, run_dir: Path, kind: str) -> None:
        self._mark, self._kind = Path(run_dir) / "provoked", kind

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Provoke it at the third batch of the second epoch."""
        if (trainer.current_epoch, batch_idx) != (1, 2) or self._mark.exists():
            return
        self._mark.touch()
        if self._kind == "spoil":
            with torch.no_grad():
                next(pl_module.parameters()).fill_(torch.nan)
        elif self._kind == "full":
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        elif self._kind != "none":
            os.kill(os.getpid(), {"term": signal.SIGTERM, "kill": signal.SIGKILL}[self._kind])


def lightning(folder: Path, kind: str) -> None:
    """Train three epochs by Lightning's stock Trainer, which saves after each, from its newest file."""
    pl.seed_everything(0, verbose=False)
    pictures = ImageFolder(folder / "train", Compose([Resize((16, 16)), ToTensor()]))
    loader = DataLoader(pictures, batch_size=2, shuffle=True)
    saving = pl.pytorch.callbacks.ModelCheckpoint(
        dirpath=folder / "saved", save_last=True, every_n_train_steps=1, save_top_k=1
    )
    trainer = pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[saving, Provoke(folder, kind)],
    )
    last = folder / "saved" / "last.ckpt"
    module = Small()
    trainer.fit(module, loader, ckpt_path=last if last.exists() else None)
    torch.save(module.state_dict(), folder / "weights.pt")
    print(len(pictures))


def whole(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the checkpoints below a folder that can be read."""
    for path in sorted(folder.rglob("*.ckpt")):
        try:
            yield torch.load(path, weights_only=False)
        except Exception:
            continue


def main() -> None:
    """Provoke the fault of the command line."""
    name, fault, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    torch.set_num_threads(1)
    if name == "lightning":
        lightning(folder, fault)
    else:
        print(json.dumps(read_all(READERS[name](folder))))


if __name__ == "__main__":
    main()
