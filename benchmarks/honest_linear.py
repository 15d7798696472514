"""Candidates for honest_best.py, cheap to make: linear layers on a backbone's features, trained in cycles."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from imageclf.analysis.crossfit import PictureScores, crossfitted
from imageclf.analysis.scores import picture_losses, right_ones, wilson_interval
from imageclf.model.backbone import create_backbone, data_config
from imageclf.model.weights.averaging import State, average_weights
from imageclf.model.weights.soup import Score, greedy_soup

SHARES = (0.4, 0.2)
"""Of the pictures of each class that are trained and validated on; the rest is hidden."""
CYCLES = ((1e-2, 0.0, 0.0), (3e-3, 0.3, 0.0), (3e-3, 0.5, 1e-2), (3e-3, 0.5, 1e-1), (1e-3, 0.3, 1e-1))
"""Highest rate, dropout of features and weight decay: a run's phases differ, and so do its snapshots."""
STEPS, BATCH, LAST = 30, 32, 3


class Split(NamedTuple):
    """Features `[N, F]` and labels `[N]` of a part of the pictures."""

    features: Tensor
    labels: Tensor


class Outcome(NamedTuple):
    """What a split shows of the chosen candidate.

    Args:
        hidden: its accuracy on the hidden pictures, 0 to 1, as those below.
        best: on those that chose it.
        crossfit: of the choice, on halves of these that did not choose.
        with_soup: the same, with the greedy soup among the candidates as it is.
        best_holds: whether the interval of `best` holds `hidden`.
        crossfit_holds: the same of `crossfit`.
    """

    hidden: float
    best: float
    crossfit: float
    with_soup: float
    best_holds: bool
    crossfit_holds: bool


@torch.no_grad()
def features_of(folder: Path, size: int, backbone: str, weights: str) -> tuple[Tensor, Tensor]:
    """Return features `[N, F]` of a folder of classes, with mean 0 and deviation 1, and labels `[N]`."""
    network = create_backbone(backbone, weights, size).eval()
    expected = data_config(network)
    mean, std = (torch.tensor(each)[:, None, None] for each in (expected.mean, expected.std))
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [(path, label) for label, each in enumerate(classes) for path in sorted(each.iterdir())]
    pixels = torch.stack([(squared(path, size) - mean) / std for path, _ in files])
    features = torch.cat([network(batch) for batch in torch.split(pixels, 64)])
    labels = torch.tensor([label for _, label in files])
    return (features - features.mean(0)) / (features.std(0) + 1e-6), labels


def squared(path: Path, size: int) -> Tensor:
    """Return a picture as `[3, size, size]`, 0 to 1."""
    picture = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255


def parts(features: Tensor, labels: Tensor, seed: int) -> tuple[Split, Split, Split]:
    """Return training, validation and hidden pictures, with the same shares of every class."""
    generator = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in range(int(labels.max()) + 1):
        rows = np.flatnonzero(labels.numpy() == label)
        place[generator.permutation(rows)] = (np.arange(len(rows)) + 0.5) / len(rows)
    part = torch.from_numpy(np.digitize(place, np.cumsum(SHARES)))
    train, valid, hidden = (Split(features[part == each], labels[part == each]) for each in range(3))
    return train, valid, hidden


def one_split(train: Split, valid: Split, hidden: Split, seed: int) -> Outcome:
    """Train, choose a candidate on the validation pictures, and score it on those and on the hidden ones."""
    snapshots, ema = trained(train, seed)
    on_valid, tried = candidates(snapshots, ema, valid, valid)
    on_hidden, _ = candidates(snapshots, ema, valid, hidden)
    best = min(on_valid, key=lambda name: _score(on_valid[name]).order)
    accuracy, truth = (_score(each[best]).accuracy for each in (on_valid, on_hidden))
    others = [scores for name, scores in on_valid.items() if name != "soup"]
    labels = valid.labels.numpy()
    found, with_soup = (crossfitted(each, labels, seed) for each in ([*others, *tried], [*on_valid.values()]))
    assert found is not None and with_soup is not None, "there are several validation pictures"
    intervals = (wilson_interval(round(accuracy * len(labels)), len(labels)), found[1:])
    holds = [low <= truth <= high for low, high in intervals]
    return Outcome(truth, accuracy, found.accuracy, with_soup.accuracy, *holds)


def trained(train: Split, seed: int) -> tuple[list[State], State]:
    """Return the weights at the end of each cycle, and their moving average over all steps."""
    torch.manual_seed(seed)
    layer = nn.Linear(train.features.shape[1], int(train.labels.max()) + 1)
    nn.init.zeros_(layer.weight)
    average, snapshots = _copy(layer), []
    for rate, dropout, decay in CYCLES:
        optimizer = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=decay)
        annealed = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        for _ in range(STEPS):
            rows = torch.randint(len(train.labels), (BATCH,))
            seen = nn.functional.dropout(train.features[rows], dropout)
            loss = nn.functional.cross_entropy(layer(seen), train.labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            annealed.step()
            average = {name: torch.lerp(average[name], tensor, 0.05) for name, tensor in _copy(layer).items()}
        snapshots.append(_copy(layer))
    return snapshots, average


def candidates(
    snapshots: Sequence[State], ema: State, valid: Split, scored: Split
) -> tuple[dict[str, PictureScores], list[PictureScores]]:
    """Return the scores of each candidate on some pictures, and those of the soup's attempts on validation.

    The soup is made on the validation pictures, whatever pictures are scored.
    """
    tried: list[PictureScores] = []

    def judged(state: State) -> Score:
        """Score an attempt, and keep how."""
        tried.append(_scores(state, valid))
        return _score(tried[-1])

    states = {str(number): state for number, state in enumerate(snapshots)}
    alone = {name: _score(_scores(state, valid)) for name, state in states.items()}
    soup = greedy_soup(alone, states.__getitem__, judged)
    states |= {"average": average_weights(snapshots[-LAST:]), "soup": soup.state, "ema": ema}
    found = {name: _scores(state, scored) for name, state in states.items()}
    mean = np.mean([_probabilities(state, scored) for state in snapshots[-LAST:]], axis=0)
    return found | {"ensemble": _picture_scores(mean, scored)}, tried


def _scores(state: State, split: Split) -> PictureScores:
    return _picture_scores(_probabilities(state, split), split)


def _picture_scores(probabilities: NDArray[np.floating], split: Split) -> PictureScores:
    labels = split.labels.numpy()
    return PictureScores(right_ones(probabilities, labels), picture_losses(probabilities, labels))


def _probabilities(state: State, split: Split) -> NDArray[np.float32]:
    logits = split.features @ state["weight"].T + state["bias"]
    return logits.softmax(1).numpy()


def _score(scores: PictureScores) -> Score:
    return Score(float(scores.right.mean()), float(scores.losses.mean()))


def _copy(layer: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in layer.state_dict().items()}
