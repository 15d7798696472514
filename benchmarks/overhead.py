"""Time our training step against a bare PyTorch loop on the same batches: `python benchmarks/overhead.py`.

In one process and one fit, by turns: before each of our epochs the bare loop goes through the very same
one. Both read from the store of shrunk pictures with the same augmentation, and train all layers of the
same network with the same loss and optimizer, channels-last. Ours is timed with its default callbacks,
from the first batch of an epoch until the last one has been learnt; what happens once an epoch is not a
step's. About four minutes on two cores that are otherwise idle.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning as pl
import timm
import torch
from composed import composed, conclude, on_cpu
from torch import nn
from torch.nn.functional import cross_entropy

from imageclf.data import ImageData
from imageclf.model.module import ClassifierModule
from imageclf.model.weights.pretrained import load_weights

LR = 1e-4
# The first one fills caches and is not counted.
WARM_UP = 1


class BareLoop:
    """What one would write by hand.

    Args:
        backbone: any timm name.
        weights: packaged, or none.
        num_classes: of the head.
        module: the mean and the deviation that its pictures are normalised with.
    """

    def __init__(self, backbone: str, weights: str, num_classes: int, module: ClassifierModule) -> None:
        model: Any = timm.create_model(backbone, num_classes=0)
        state = load_weights(weights, backbone)
        if state is not None:
            model.load_state_dict(state, strict=False)
        whole = nn.Sequential(model, nn.Linear(model.num_features, num_classes))
        self._model = whole.to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), lr=LR, weight_decay=0.01)
        self._mean, self._std = module.model.mean.clone(), module.model.std.clone()

    def train(self, data: ImageData, epoch: int) -> None:
        """Go through the batches of an epoch."""
        self._model.train()
        for batch in data.training_batches(epoch):
            assert batch.images is not None
            images = (batch.images.float() / 255 - self._mean) / self._std
            loss = cross_entropy(self._model(images), batch.labels)
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()


class Rounds(pl.Callback):
    """Let the bare loop have each epoch first, and time both.

    Args:
        bare: the loop.
        num_batches: of an epoch.
    """

    def __init__(self, bare: BareLoop, num_batches: int) -> None:
        self._bare = bare
        self._num_batches = num_batches
        self._started = 0.0
        self.seconds: dict[str, list[float]] = {"imageclf": [], "bare": []}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Time the bare loop; then ours starts."""
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        started = time.perf_counter()
        self._bare.train(data, trainer.current_epoch)
        self._started = time.perf_counter()
        self.seconds["bare"].append(self._started - started)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """End our time with the last batch."""
        if batch_idx == self._num_batches - 1:
            self.seconds["imageclf"].append(time.perf_counter() - self._started)


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*", help="of imageclf-train: data.size=64 model=resnet34 ...")
    options = parser.parse_args()
    on_cpu(options.threads)
    phase = f"{{cycle_len: {options.rounds + WARM_UP}, lr: {LR}, unfreeze_to: 0}}"
    phases = [f"~schedule.phases.{name}" for name in ("head", "augment", "finetune", "bigger")]
    with tempfile.TemporaryDirectory(prefix="imageclf-overhead-") as folder:
        run = composed(Path(folder), [*phases, f"+schedule.phases.all={phase}", *options.overrides])
        _, module, data = run.parts
        model = run.config.model
        bare = BareLoop(model.backbone, model.weights, len(module.classes), module)
        rounds = Rounds(bare, data.num_batches(data.schedule.at(0)))
        run.trainer(rounds).fit(module, datamodule=data)
    seconds = {name: each[WARM_UP:] for name, each in rounds.seconds.items()}
    conclude(seconds, "imageclf", "bare", most=1.05)


if __name__ == "__main__":
    main()
