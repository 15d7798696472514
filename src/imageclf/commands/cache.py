"""What imageclf-cache lists and clears."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from omegaconf import DictConfig
from rich.table import Table

from imageclf import InputError
from imageclf.data.pictures.cache import Entry, entries, remove
from imageclf.data.pictures.cache_root import cache_root
from imageclf.system.printable import cell, console
from imageclf.training.check_keys import checked

_DAY = 86_400
_COLUMNS: dict[str, Literal["left", "right"]] = {
    "kind": "left",
    "pictures": "right",
    "made with": "left",
    "size": "right",
    "last used": "left",
    "folder of the pictures": "left",
}


@dataclass(frozen=True)
class CacheOptions:
    """What imageclf-cache takes.

    conf/commands/cache.yaml explains each key; a `kind` of None is all.
    """

    action: Literal["list", "clear"]
    kind: Literal["pictures", "features", "verified"] | None
    unused_days: float
    cache_dir: str | None

    def __post_init__(self) -> None:
        """Refuse a negative age."""
        if self.unused_days < 0:
            raise InputError(f"unused_days={self.unused_days}: give a number from 0")

    @property
    def root(self) -> Path:
        """Return the folder of all caches."""
        return cache_root(self.cache_dir)


def run(cfg: DictConfig, folder: Path) -> None:
    """Print what there is, or remove it."""
    options = checked(cfg, CacheOptions)
    chosen = select(options)
    if options.action == "clear":
        print(clear(chosen))
    else:
        console().print(table_of(chosen, options.root))


def select(options: CacheOptions) -> list[Entry]:
    """Return the entries that the options name, the last used first."""
    limit = time.time() - options.unused_days * _DAY
    chosen = [
        entry
        for entry in entries(options.root)
        if options.kind in (None, entry.kind) and (options.unused_days == 0 or entry.used <= limit)
    ]
    return sorted(chosen, key=lambda entry: entry.used, reverse=True)


def table_of(chosen: Sequence[Entry], root: Path) -> Table:
    """Return a table of entries, a row each, with their total below."""
    total = sum(entry.size for entry in chosen)
    table = Table(title=cell(root), caption=f"{len(chosen)} results, {readable(total)}")
    for heading, side in _COLUMNS.items():
        table.add_column(heading, justify=side, overflow="fold")
    for entry in chosen:
        about = {name: str(value) for name, value in entry.about.items()}
        used = time.strftime("%Y-%m-%d", time.localtime(entry.used))
        folder, pictures = about.pop("folder", ""), about.pop("pictures", "")
        made = ", ".join(f"{name} {value}" for name, value in about.items())
        table.add_row(*map(cell, (entry.kind, pictures, made, readable(entry.size), used, folder)))
    return table


def clear(chosen: Sequence[Entry]) -> str:
    """Remove entries, and return a sentence about it; those that a run uses stay."""
    gone = [entry for entry in chosen if remove(entry)]
    freed = readable(sum(entry.size for entry in gone))
    left = len(chosen) - len(gone)
    return f"removed {len(gone)} results, {freed}" + (f"; {left} in use were left" if left else "")


def readable(size: int) -> str:
    """Write a number of bytes for people.

    >>> readable(1_500_000)
    '1.5 MB'
    """
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"
