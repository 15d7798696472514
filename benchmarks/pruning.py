"""What does pruning save of a search, and is the best trial still as good? Whole searches with each pruner.

`python benchmarks/pruning.py` takes some five minutes on an idle core. A trial is a linear layer on a
backbone's features of the stamps, in nine cycles of an epoch, trained here in less than a second; what it
tries, reports and is told is the package's own search. Each seed splits the pictures anew and draws other
trials.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import optuna
import torch
from honest_linear import Split, features_of, parts
from omegaconf import OmegaConf
from torch import nn

from imageclf.callbacks.search.trial import build_pruner, is_pruned
from imageclf.configs import CONF_DIR
from imageclf.launch.search.space import Space, read_space
from imageclf.launch.search.study import NAME, ask, tell
from imageclf.system.errors import Failure

STAMPS = Path(__file__).parents[1] / "data/stamps"
TRIALS, CYCLES, BATCH = 20, 9, 32
LR, DROPOUT = "schedule.phases.head.lr", "model.head.dropout"
SWEEPER: Any = OmegaConf.to_container(OmegaConf.load(Path(CONF_DIR, "hydra/sweeper/imageclf_search.yaml")))
PRUNERS: Mapping[str, tuple[str | None, Mapping[str, Any]]] = {
    "null": (None, {}),
    "hyperband": ("hyperband", SWEEPER["hyperband"]),
    **{
        f"median, {startup} trials and {warmup} cycles": (
            "median",
            {"n_startup_trials": startup, "n_warmup_steps": warmup},
        )
        for startup in (3, 5)
        for warmup in (0, 2)
    },
}
"""By name: pruner and its arguments; a median prunes after so many finished trials, after so many cycles."""


class Outcome(NamedTuple):
    """Epochs that a search trained, and its lowest loss of a finished trial."""

    epochs: int
    best: float


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(1, 11)))
    parser.add_argument("--pruners", nargs="+", default=list(PRUNERS), choices=list(PRUNERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    features, labels = features_of(STAMPS, 64, "tf_efficientnet_lite0", "packaged")
    figures: dict[str, Any] = {}
    for name in options.pruners:
        found = []
        for seed in options.seeds:
            first, valid, rest = parts(features, labels, seed)
            train = Split(*(torch.cat(pair) for pair in zip(first, rest, strict=True)))
            found.append(search(*PRUNERS[name], train, valid, seed))
        figures[name] = summary(found)
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    print(json.dumps(figures))


def search(
    pruner: str | None, arguments: Mapping[str, Any], train: Split, valid: Split, seed: int
) -> Outcome:
    """Search for the rate and the dropout of hparams_search=optuna."""
    params = OmegaConf.load(Path(CONF_DIR, "hparams_search/optuna.yaml")).hydra.sweeper.params
    space = read_space(OmegaConf.to_container(params), ())  # type: ignore[arg-type]
    # Hyperband sorts trials by the name of their study.
    study = optuna.create_study(study_name=NAME, pruner=build_pruner(pruner, arguments))
    epochs = sum(one_trial(study, space, train, valid, seed) for _ in range(TRIALS))
    return Outcome(epochs, study.best_value)


def one_trial(study: optuna.Study, space: Space, train: Split, valid: Split, seed: int) -> int:
    """Ask for a trial, train it as far as it may, tell how it ended, and return its epochs."""
    trial = ask(study, {**SWEEPER["sampler"], "seed": seed}, space, Path())
    losses = losses_of(train, valid, trial.params[LR], trial.params[DROPOUT], seed)
    for cycle, loss in enumerate(losses, 1):
        # As in a run: the last cycle is the score, and is not reported.
        if cycle < CYCLES and is_pruned(study, trial.number, cycle, loss):
            tell(study, trial.number, Failure("pruned", 0, ""))
            return cycle
    tell(study, trial.number, loss)
    return CYCLES


def losses_of(train: Split, valid: Split, rate: float, dropout: float, seed: int) -> Iterator[float]:
    """Yield the validation loss after each cycle of an epoch, whose rate falls to zero along a cosine."""
    torch.manual_seed(seed)
    layer = nn.Linear(train.features.shape[1], int(train.labels.max()) + 1)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=rate)
    steps = -(-len(train.labels) // BATCH)
    annealed = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, steps)
    for _ in range(CYCLES):
        for rows in torch.randperm(len(train.labels)).split(BATCH):
            seen = nn.functional.dropout(train.features[rows], dropout)
            loss = nn.functional.cross_entropy(layer(seen), train.labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            annealed.step()
        with torch.no_grad():
            yield float(nn.functional.cross_entropy(layer(valid.features), valid.labels))


def summary(found: Sequence[Outcome]) -> dict[str, Any]:
    """Return the share of the epochs that is saved, and the best losses."""
    saved = [1 - each.epochs / (TRIALS * CYCLES) for each in found]
    bests = [each.best for each in found]
    return {
        "saved": round(mean(saved), 3),
        "best": round(mean(bests), 4),
        "epochs": [each.epochs for each in found],
        "bests": [round(best, 3) for best in bests],
    }


if __name__ == "__main__":
    main()
