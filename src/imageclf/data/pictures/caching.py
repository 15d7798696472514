"""What is kept of a data set between runs, where, and in which form."""

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
from imageclf.data.pictures.cache import Cache, content_key
from imageclf.data.pictures.cache_root import cache_root
from imageclf.data.pictures.fingerprint import Fingerprint, files_digest
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.pictures.shrinking import StoreSpec, decode_all
from imageclf.data.pictures.store import Form, StoredPictures, raw_bytes
from imageclf.data.views.geometry import Resize
from imageclf.schedule.ranges import check_ranges
from imageclf.schedule.size import PictureSize, by_pixels, plain

log = logging.getLogger(__name__)

How = Literal["auto", "raw", "jpeg"]

# Increase it whenever the same files give other pixels.
_VERSION = 2
# A JPEG store takes a fifth of the bytes of a raw one, at small sizes more.
_JPEG_SHARE = 0.3


@dataclass(frozen=True)
class Caching:
    """The keys of a data node about caching.

    Args:
        cache: auto: pictures shrunk to near each phase's size, raw where they fit into `cache_gb`,
            as JPEGs where 0.3 of that fits, and none where that does not; raw; jpeg; none:
            every picture is read from its file in every epoch, every feature is computed anew.
        cache_dir: folder of all caches; None: as `cache_root` says.
        cache_gb: what that folder may hold, in 10^9 bytes; the least recently used results are removed.
        fingerprint: stat: a file has changed when its size or one of its times has; bytes: when its content
            has.
    """

    cache: Literal["auto", "raw", "jpeg", "none"]
    cache_dir: str | None
    cache_gb: float
    fingerprint: Fingerprint

    def __post_init__(self) -> None:
        check_ranges("data", vars(self))

    @property
    def folder(self) -> Cache:
        """Return the folder of all caches."""
        return Cache(cache_root(self.cache_dir), round(self.cache_gb * 1e9))

    def digest(self, paths: Sequence[str]) -> str:
        """Return a hash that changes when a file changes."""
        return files_digest(paths, self.fingerprint)

    def stores(
        self,
        paths: Sequence[str],
        sides: Mapping[PictureSize, PictureSize],
        resize: Resize,
        pixels: Pixels = RGB,
    ) -> dict[PictureSize, StoredPictures]:
        """Return the stores of the pictures by size of the views; missing ones are written first.

        `sides` is the `stored_side` of each size.

        Raises:
            InputError: a picture cannot be read, or the disk is full.
        """
        wanted = self.specs(paths, sides, resize, choose_form, pixels)
        digest = self.digest(paths) if wanted else ""
        stored = {}
        for index, each in enumerate(wanted):
            # The first missing store is built together with all that are missing after it.
            build = partial(self._build, paths=paths, digest=digest, wanted=wanted[index:])
            stored[each.size] = StoredPictures(self._get(paths, digest, each, build), each.form, each.pixels)
        return stored

    def specs(
        self,
        paths: Sequence[str],
        sides: Mapping[PictureSize, PictureSize],
        resize: Resize,
        choose: Callable[[How, int, int, bool], Form | None],
        pixels: Pixels = RGB,
    ) -> list[StoreSpec]:
        """Return the stores that a run needs, the largest size first; none where nothing is cached.

        `choose` is `choose_form` or `fitting_form`.
        """
        if self.cache == "none" or not len(paths):
            return []
        raw_total = sum(raw_bytes(paths, side, resize, pixels) for side in sides.values())
        form = choose(self.cache, raw_total, self.folder.budget, pixels.takes_jpeg)
        if form is None:
            return []
        kind = pixels.unmeasured()
        return [StoreSpec(size, sides[size], resize, form, kind) for size in reversed(by_pixels(sides))]

    @contextmanager
    def staged(
        self, folder: Path, paths: Sequence[str], digest: str, wanted: Sequence[StoreSpec]
    ) -> Iterator[dict[StoreSpec, Path]]:
        """Yield an empty folder for each missing store; if no error is raised, they go to the cache.

        They lie in `folder`, which no other process may use.
        """
        stages = {each: folder / str(each.size) for each in wanted if not self._has(digest, each)}
        for stage in stages.values():
            stage.mkdir()
        yield stages
        for each, stage in stages.items():
            # If another job was faster, its store is kept.
            self._get(paths, digest, each, partial(_move, stage))
            shutil.rmtree(stage)

    def _build(self, folder: Path, paths: Sequence[str], digest: str, wanted: Sequence[StoreSpec]) -> None:
        with self.staged(folder, paths, digest, wanted[1:]) as stages:
            sizes = ", ".join(str(each.size) for each in (wanted[0], *stages))
            title, pixels = f"Shrinking pictures for {sizes} px", wanted[0].pixels
            decode_all(paths, {wanted[0]: folder, **stages}, title, pixels=pixels)

    def _get(self, paths: Sequence[str], digest: str, spec: StoreSpec, build: Callable[[Path], None]) -> Path:
        about = about_files(paths) | {"size": plain(spec.size), "resize": spec.resize, "form": spec.form}
        return self.folder.get("pictures", _key(digest, spec), about, build)

    def _has(self, digest: str, spec: StoreSpec) -> bool:
        return self.folder.find("pictures", _key(digest, spec)) is not None


def _key(digest: str, spec: StoreSpec) -> str:
    # Versions of the decoders count: another one may round differently.
    decoders = {name: version(name) for name in ("pillow", "torch")}
    about = {name: value for name, value in spec._asdict().items() if name != "pixels"}
    return content_key(version=_VERSION, files=digest, **about, **spec.pixels.key, **decoders)


def _move(source: Path, folder: Path) -> None:
    for path in source.iterdir():
        path.rename(folder / path.name)


def about_files(paths: Sequence[str]) -> dict[str, Any]:
    """Describe a set of files for people: their common folder, and how many there are."""
    # What the first and the last path have in common, all between them have.
    first, last = Path(min(paths)).parent, Path(max(paths)).parent
    return {"folder": os.path.commonpath([first, last]), "pictures": len(paths)}


def choose_form(how: How, raw_total: int, budget: int, takes_jpeg: bool = True) -> Form | None:
    """Return the form of a run's stores as `fitting_form` does, and log a warning if none fits.

    Raises:
        InputError: the form that the user chose does not fit.
    """
    form = fitting_form(how, raw_total, budget, takes_jpeg)
    if form is not None:
        return form
    needed = (raw_total, _JPEG_SHARE * raw_total, budget)
    raw, jpeg, limit = (f"{amount / 1e9:.3g} GB" for amount in needed)
    sentence = f"the shrunk pictures take about {raw} raw, {jpeg} as JPEGs; data.cache_gb allows {limit}"
    if how != "auto":
        raise InputError(f"data.cache={how}: {sentence}: raise it, or use data.cache=auto")
    log.warning("data.cache=auto: %s: every epoch reads the files instead", sentence)
    return None


def fitting_form(how: How, raw_total: int, budget: int, takes_jpeg: bool = True) -> Form | None:
    """Return the form in which stores of `raw_total` bytes fit into the budget: raw, or else JPEG.

    `how` is the user's choice; raw and jpeg are not replaced by each other. Pictures that no JPEG holds are
    kept raw.
    """
    needed: dict[Form, float] = {"raw": raw_total}
    if takes_jpeg:
        needed["jpeg"] = _JPEG_SHARE * raw_total
    fitting = (form for form, amount in needed.items() if amount <= budget and how in ("auto", form))
    return next(fitting, None)
