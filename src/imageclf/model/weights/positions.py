"""Position embeddings of a vision transformer: the grid of patches that they are for."""

from collections.abc import Mapping
from math import isqrt
from typing import Any

from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

Grid = tuple[int, int]
"""Rows and columns of patches."""

NAME = "pos_embed"
"""Of the position embeddings `[1, N, F]` in timm's models."""


def grid_note(body: nn.Module) -> dict[str, list[int]]:
    """Return what a file of a network's weights says of its grid: nothing of a square, or without one."""
    embeddings, grid = _positions(body)
    return {} if embeddings is None or grid[0] == grid[1] else {"grid": list(grid)}


def noted_grid(content: Mapping[str, Any]) -> Grid | None:
    """Return what `grid_note` has written into a file; None: a square."""
    match content.get("grid"):
        case [int(rows), int(columns)] if rows > 0 and columns > 0:
            return rows, columns
    return None


def fitted_positions(state: dict[str, Tensor], body: nn.Module, grid: Grid | None) -> dict[str, Tensor]:
    """Return tensors whose position embeddings are for the grid of a network, resampled from their own.

    timm takes the grid of every file for a square, and does nothing where the shapes agree: 4 x 16 patches
    would be read as 8 x 8. A square of another number of patches, and no `grid` in the file, is left to it.
    """
    (wanted, new), given = _positions(body), state.get(NAME)
    if wanted is None or given is None or (grid is None and given.shape != wanted.shape):
        return state
    # Tokens that are no patches, such as that of the class, come first.
    others = wanted.shape[1] - new[0] * new[1]
    side = isqrt(max(0, given.shape[1] - others))
    old = grid or (side, side)
    if old == new or old[0] * old[1] + others != given.shape[1]:
        return state
    return state | {NAME: resample_abs_pos_embed(given, list(new), list(old), others)}


def _positions(body: nn.Module) -> tuple[Tensor | None, Grid]:
    """Return the position embeddings of a network and their grid; None where they have none."""
    embeddings: Any = getattr(body, NAME, None)
    grid: Any = getattr(getattr(body, "patch_embed", None), "grid_size", None)
    is_flat = isinstance(embeddings, Tensor) and embeddings.ndim == 3
    return (embeddings, grid) if is_flat and grid is not None else (None, (0, 0))
