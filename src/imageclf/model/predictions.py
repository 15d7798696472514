"""What a network predicts of labelled pictures, and how right it is."""

from typing import NamedTuple

from torch import Tensor


class Predictions(NamedTuple):
    """Probabilities of pictures, sorted by their row in the table; on the CPU.

    Args:
        rows: positions in the table `[N]`, each once.
        labels: class indices `[N]`.
        probabilities: `[N, C]`.
    """

    rows: Tensor
    labels: Tensor
    probabilities: Tensor

    @property
    def accuracy(self) -> float:
        """Share of pictures whose most probable class is the right one."""
        return float((self.probabilities.argmax(1) == self.labels).double().mean())

    @property
    def loss(self) -> float:
        """Mean of -log(probability of the right class)."""
        # Probabilities of 0 would make the mean infinite for one picture.
        right = self.probabilities.double().gather(1, self.labels[:, None])
        return float(-right.clamp_min(1e-15).log().mean())
