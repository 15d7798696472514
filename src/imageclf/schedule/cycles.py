"""Cycle arithmetic of SGDR, in whole epochs and integers only.

Libraries find the cycle with a float logarithm and miss restarts: with a multiplier of 3 the sixth
restart falls into the fifth cycle. A loop over integers cannot.
"""

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


def fits(epochs: int, n_cycles: int, cycle_len: int, cycle_mult: int) -> bool:
    """Return whether all cycles together have at most so many epochs, without writing them down.

    >>> fits(7, 3, 1, 2), fits(6, 3, 1, 2), fits(100, 10**9, 1, 10**9)
    (True, False, False)
    """
    length = cycle_len
    for _ in range(n_cycles):
        if epochs < length:
            return False
        epochs, length = epochs - length, length * cycle_mult
    return True


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
