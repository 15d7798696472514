"""Cycle arithmetic of SGDR, in whole epochs and integers only.

Libraries find the cycle with a float logarithm and miss restarts: with a multiplier of 3 the sixth
restart falls into the fifth cycle. A loop over integers cannot.
"""

from imageclf import InputError

# Of a phase. The places of all epochs are kept in memory.
MAX_EPOCHS = 100_000


def cycle_lengths(n_cycles: int, cycle_len: int, cycle_mult: int) -> tuple[int, ...]:
    """Return the length of every cycle in epochs: `cycle_len`, then each `cycle_mult` times the last.

    >>> cycle_lengths(3, 1, 2)
    (1, 2, 4)

    Source: `learn.fit(lr, n_cycles, cycle_len=..., cycle_mult=...)` of fastai 0.7; SGDR,
    https://arxiv.org/abs/1608.03983.
    """
    return tuple(cycle_len * cycle_mult**cycle for cycle in range(n_cycles))


def check_length(n_cycles: int, cycle_len: int, cycle_mult: int) -> None:
    """Refuse cycles of too many epochs together, without writing them down: there may be a billion."""
    epochs, length = 0, cycle_len
    for _ in range(n_cycles):
        epochs, length = epochs + length, length * cycle_mult
        if epochs > MAX_EPOCHS:
            raise InputError(
                f"n_cycles={n_cycles}, cycle_len={cycle_len}, cycle_mult={cycle_mult}: "
                f"a phase has at most {MAX_EPOCHS:,} epochs"
            )


def locate(epoch: int, lengths: tuple[int, ...]) -> tuple[int, int]:
    """Return (cycle, epoch within it) of an epoch counted from the first cycle's start.

    >>> locate(3, (1, 2, 4))
    (2, 0)

    Raises:
        IndexError: the epoch is negative or lies behind the last cycle.
    """
    # A handful of cycles: a loop is as fast as a formula, and exact for every multiplier.
    rest = epoch
    for cycle, length in enumerate(lengths):
        if 0 <= rest < length:
            return cycle, rest
        rest -= length
    raise IndexError(f"epoch {epoch} is outside the {sum(lengths)} epochs of cycles {lengths}")
