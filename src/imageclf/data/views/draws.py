"""Random numbers as a function of a sample's position in the run."""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniforms(
    seed: int, epoch: int, rows: NDArray[np.int64], views: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Return numbers in [0, 1), `[B, count]`, one row per sample, from (seed, epoch, row, view) alone.

    A whole batch, with `rows` and `views` `[B]`, is drawn at once and no generator keeps state, so workers,
    ranks and resuming cannot change a draw.

    Source: SplitMix64, https://doi.org/10.1145/2714064.2660195.
    """
    with np.errstate(over="ignore"):
        state = _mix(np.full(len(rows), seed, dtype=np.int64).astype(np.uint64))
        for key in (np.full(len(rows), epoch), rows, views):
            state = _mix(state ^ _mix(key.astype(np.uint64) + _GOLDEN))
        steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        bits = _mix(state[:, None] + steps[None, :])
    # A double in [0, 1) holds 53 bits.
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
