"""What of a data set is kept between runs, where, and in which form."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from imageclf import InputError
from imageclf.data.cache import Cache, cache_root, content_key
from imageclf.data.fingerprint import Fingerprint, files_digest
from imageclf.data.geometry import Resize
from imageclf.data.store import Form, StoredPictures, raw_bytes, write_store

log = logging.getLogger(__name__)

How = Literal["auto", "raw", "jpeg"]

# To be raised whenever the same files would give other pixels.
_VERSION = 2
# Of a raw store, a JPEG store takes a fifth, at small sizes more.
_JPEG_SHARE = 0.3


@dataclass(frozen=True)
class Caching:
    """The keys of a data node about what is kept between runs.

    Args:
        cache: auto: pictures shrunk to near each phase's size, raw where they fit into `cache_gb`,
            as JPEGs where 0.3 of that fits, and none where that does not; raw; jpeg; none:
            every picture is read from its file in every epoch, every feature is computed anew.
        cache_dir: folder of all caches; None: `$XDG_CACHE_HOME/imageclf`, or `~/.cache/imageclf`.
        cache_gb: what that folder may hold, in 10^9 bytes; what was used longest ago makes room.
        fingerprint: stat: a file has changed when its size or time has; bytes: when its content has.
    """

    cache: Literal["auto", "raw", "jpeg", "none"]
    cache_dir: str | None
    cache_gb: float
    fingerprint: Fingerprint

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        if self.cache_gb <= 0:
            raise InputError(f"data.cache_gb={self.cache_gb}: give a number above 0, or data.cache=none")

    @property
    def folder(self) -> Cache:
        """Return the folder of all caches."""
        return Cache(cache_root(self.cache_dir), round(self.cache_gb * 1e9))

    def digest(self, paths: Sequence[str]) -> str:
        """Return a hash that changes when a file does."""
        return files_digest(paths, self.fingerprint)

    def stores(
        self, paths: Sequence[str], sides: dict[int, int], resize: Resize
    ) -> dict[int, StoredPictures]:
        """Return the shrunk pictures by size of the views, made first where they are missing.

        Args:
            paths: a file per row of the table.
            sides: what `stored_side` says, by size.
            resize: how a view becomes a square.

        Raises:
            InputError: a picture cannot be read, or the disk is full.
        """
        if self.cache == "none" or not len(paths):
            return {}
        sizes = {size: raw_bytes(paths, side, resize) for size, side in sides.items()}
        form = choose_form(self.cache, sum(sizes.values()), self.folder.budget)
        if form is None:
            return {}
        digest = self.digest(paths)
        return {size: self._store(paths, digest, size, side, resize, form) for size, side in sides.items()}

    def _store(
        self, paths: Sequence[str], digest: str, size: int, side: int, resize: Resize, form: Form
    ) -> StoredPictures:
        # The decoders too: another version may round otherwise.
        decoders = {name: version(name) for name in ("pillow", "torch")}
        key = content_key(
            version=_VERSION, files=digest, size=size, side=side, resize=resize, form=form, **decoders
        )
        about = about_files(paths) | {"size": size, "resize": resize, "form": form}
        build = partial(write_store, paths=paths, size=size, side=side, resize=resize, form=form)
        return StoredPictures(self.folder.get("pictures", key, about, build), form)


def about_files(paths: Sequence[str]) -> dict[str, Any]:
    """Return the folder that all files are below, and how many there are: what people know a result by."""
    # What the first and the last share, all between them do.
    first, last = Path(min(paths)).parent, Path(max(paths)).parent
    return {"folder": os.path.commonpath([first, last]), "pictures": len(paths)}


def choose_form(how: How, raw_total: int, budget: int) -> Form | None:
    """Return the form of the stores of a run: raw if they fit into the budget, JPEG if 0.3 of that does.

    Args:
        how: what the user says; raw and jpeg are not changed.
        raw_total: bytes of all raw stores.
        budget: bytes.

    Raises:
        InputError: what the user says does not fit.
    """
    needed: dict[Form, float] = {"raw": raw_total, "jpeg": _JPEG_SHARE * raw_total}
    for form, amount in needed.items():
        if amount <= budget and how in ("auto", form):
            return form
    raw, jpeg, limit = (f"{amount / 1e9:.3g} GB" for amount in (*needed.values(), budget))
    sentence = f"the shrunk pictures take about {raw} raw, {jpeg} as JPEGs; data.cache_gb allows {limit}"
    if how != "auto":
        raise InputError(f"data.cache={how}: {sentence}: raise it, or use data.cache=auto")
    log.warning("data.cache=auto: %s: every epoch reads the files instead", sentence)
    return None
