"""What of a data set is kept between runs, where, and in which form."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from imageclf import InputError
from imageclf.data.pictures.cache import Cache, cache_root, content_key
from imageclf.data.pictures.fingerprint import Fingerprint, files_digest
from imageclf.data.pictures.shrinking import Shrinking, decode_all
from imageclf.data.pictures.store import Form, StoredPictures, raw_bytes
from imageclf.data.views.geometry import Resize

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
        self, paths: Sequence[str], sides: Mapping[int, int], resize: Resize
    ) -> dict[int, StoredPictures]:
        """Return the shrunk pictures by size of the views, made first where they are missing.

        Args:
            paths: a file per row of the table.
            sides: what `stored_side` says, by size.
            resize: how a view becomes a square.

        Raises:
            InputError: a picture cannot be read, or the disk is full.
        """
        wanted = self.shrinkings(paths, sides, resize, choose_form)
        digest = self.digest(paths) if wanted else ""
        stored = {}
        for place, each in enumerate(wanted):
            # Whoever makes one makes all that are missing behind it: then they are found.
            build = partial(self._make, paths=paths, digest=digest, wanted=wanted[place:])
            stored[each.size] = StoredPictures(self._get(paths, digest, each, build), each.form)
        return stored

    def shrinkings(
        self,
        paths: Sequence[str],
        sides: Mapping[int, int],
        resize: Resize,
        choose: Callable[[How, int, int], Form | None],
    ) -> list[Shrinking]:
        """Return what the pictures of each store are, the largest size first; none where nothing is kept.

        Args:
            paths: a file per row of the table.
            sides: what `stored_side` says, by size.
            resize: how a view becomes a square.
            choose: returns the form, as `choose_form`.
        """
        if self.cache == "none" or not len(paths):
            return []
        raw_total = sum(raw_bytes(paths, side, resize) for side in sides.values())
        form = choose(self.cache, raw_total, self.folder.budget)
        if form is None:
            return []
        return [Shrinking(size, sides[size], resize, form) for size in sorted(sides, reverse=True)]

    @contextmanager
    def staged(
        self, folder: Path, paths: Sequence[str], digest: str, wanted: Sequence[Shrinking]
    ) -> Iterator[dict[Shrinking, Path]]:
        """Yield a folder for each store that is missing; without an error, what is written there is kept.

        Args:
            folder: where nobody else writes; it holds the others meanwhile.
            paths: a file per row of the table.
            digest: of the files.
            wanted: what the pictures of each store are.
        """
        stages = {each: folder / str(each.size) for each in wanted if not self._has(digest, each)}
        for stage in stages.values():
            stage.mkdir()
        yield stages
        for each, stage in stages.items():
            # Where another job was first, its store is the one to keep.
            self._get(paths, digest, each, partial(_move, stage))
            shutil.rmtree(stage)

    def _make(self, folder: Path, paths: Sequence[str], digest: str, wanted: Sequence[Shrinking]) -> None:
        with self.staged(folder, paths, digest, wanted[1:]) as stages:
            sizes = ", ".join(str(each.size) for each in (wanted[0], *stages))
            decode_all(paths, {wanted[0]: folder, **stages}, f"Shrinking pictures for {sizes} px")

    def _get(
        self, paths: Sequence[str], digest: str, shrinking: Shrinking, build: Callable[[Path], None]
    ) -> Path:
        size, _, resize, form = shrinking
        about = about_files(paths) | {"size": size, "resize": resize, "form": form}
        return self.folder.get("pictures", _key(digest, shrinking), about, build)

    def _has(self, digest: str, shrinking: Shrinking) -> bool:
        return self.folder.find("pictures", _key(digest, shrinking)) is not None


def _key(digest: str, shrinking: Shrinking) -> str:
    # The decoders too: another version may round otherwise.
    decoders = {name: version(name) for name in ("pillow", "torch")}
    return content_key(version=_VERSION, files=digest, **shrinking._asdict(), **decoders)


def _move(source: Path, folder: Path) -> None:
    for path in source.iterdir():
        path.rename(folder / path.name)


def about_files(paths: Sequence[str]) -> dict[str, Any]:
    """Return the folder that all files are below, and how many there are: what people know a result by."""
    # What the first and the last share, all between them do.
    first, last = Path(min(paths)).parent, Path(max(paths)).parent
    return {"folder": os.path.commonpath([first, last]), "pictures": len(paths)}


def choose_form(how: How, raw_total: int, budget: int) -> Form | None:
    """Return the form of the stores of a run as `fitting_form` does, and say so where none fits.

    Raises:
        InputError: what the user says does not fit.
    """
    form = fitting_form(how, raw_total, budget)
    if form is not None:
        return form
    needed = (raw_total, _JPEG_SHARE * raw_total, budget)
    raw, jpeg, limit = (f"{amount / 1e9:.3g} GB" for amount in needed)
    sentence = f"the shrunk pictures take about {raw} raw, {jpeg} as JPEGs; data.cache_gb allows {limit}"
    if how != "auto":
        raise InputError(f"data.cache={how}: {sentence}: raise it, or use data.cache=auto")
    log.warning("data.cache=auto: %s: every epoch reads the files instead", sentence)
    return None


def fitting_form(how: How, raw_total: int, budget: int) -> Form | None:
    """Return the form that stores fit in: raw if they fit into the budget, JPEG if 0.3 of that does.

    Args:
        how: what the user says; raw and jpeg are not changed.
        raw_total: bytes of all raw stores.
        budget: bytes.
    """
    needed: dict[Form, float] = {"raw": raw_total, "jpeg": _JPEG_SHARE * raw_total}
    fitting = (form for form, amount in needed.items() if amount <= budget and how in ("auto", form))
    return next(fitting, None)
