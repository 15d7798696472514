"""Decode every picture once, both to check it and to write the stores of shrunk pictures."""

import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imageclf import InputError
from imageclf.data.parallel import chunks, mapped, num_processes
from imageclf.data.pictures.decode import num_frames, open_picture, read_picture, read_scales
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.pictures.store import Form, Shrunk, shrunk, sufficient, writing
from imageclf.data.views.augmentation import Picture
from imageclf.data.views.geometry import Resize
from imageclf.schedule.size import PictureSize, num_pixels
from imageclf.system.progress import track

# Visually lossless, at a fifth of the raw size.
_QUALITY = 95
# Suffixes of formats that can hold several frames.
_ANIMATED = (".gif", ".webp", ".png", ".tif", ".tiff")
# Sending a chunk costs a tenth of a millisecond; its pictures should fit into a slot of shared memory.
_CHUNK = 16
_CHUNK_BYTES = 2**23
# The largest picture that is expected is twice as wide as high.
_WIDEST = 2


class StoreSpec(NamedTuple):
    """What the pictures of a store are like: for views of `size`, shrunk to `side`."""

    size: PictureSize
    side: PictureSize
    resize: Resize
    form: Form
    pixels: Pixels = RGB


class Findings(NamedTuple):
    """Faults of files that do not decode to their last row, and files of several frames, by position."""

    faults: dict[int, str]
    animated: list[int]


class Part(NamedTuple):
    """Some of the pictures, decoded; contents and sizes `[N, 4]` are what `writing` takes, for each store."""

    findings: Findings
    contents: list[list[Picture]]
    sizes: list[NDArray[np.int64]]


def decode_all(
    paths: Sequence[str],
    folders: Mapping[StoreSpec, Path],
    title: str,
    checks: bool = False,
    pixels: Pixels = RGB,
) -> Findings:
    """Decode every picture once, in parallel, and write a store into each folder; all have the same `pixels`.

    The same files give the same bytes, however many processes read them. With `checks`, faults are
    collected and frames counted; if there is a fault, the stores are incomplete.

    Raises:
        InputError: a file cannot be read and `checks` is off.
    """
    findings = Findings({}, [])
    specs = list(folders)
    picture_bytes = sum(_WIDEST * pixels.num_bytes * num_pixels(spec.side) for spec in specs)
    parts = chunks(len(paths), max(1, min(_CHUNK, _CHUNK_BYTES // max(1, picture_bytes))))
    read = partial(read_part, paths=paths, specs=specs, checks=checks, pixels=pixels)
    with (
        mapped(read, parts, num_processes(paths), _CHUNK_BYTES if folders else 0) as done,
        ExitStack() as stack,
        track(title, len(paths)) as advance,
    ):
        stores = [stack.enter_context(writing(folder)) for folder in folders.values()]
        for rows, part in zip(parts, done, strict=True):
            advance(len(rows))
            findings.faults.update(part.findings.faults)
            findings.animated.extend(part.findings.animated)
            if not findings.faults:
                for append, contents, sizes in zip(stores, part.contents, part.sizes, strict=True):
                    append(contents, sizes)
    return findings


def read_part(
    rows: range, paths: Sequence[str], specs: Sequence[StoreSpec], checks: bool, pixels: Pixels = RGB
) -> Part:
    """Decode some of the files, each once per scale that the stores need.

    Raises:
        InputError: as in `decode_all`.
    """
    findings, pictures = Findings({}, []), []
    for row in rows:
        try:
            pictures.append(_shrunk_to(paths[row], specs, pixels))
        except InputError as error:
            if not checks:
                raise
            findings.faults[row] = str(error)
    # Else pages are channels.
    if checks and (pixels.is_rgb or pixels.channels == 1):
        whole = (row for row in rows if row not in findings.faults)
        findings.animated.extend(row for row in whole if _is_animated(paths[row]))
    columns = [[picture[place] for picture in pictures] for place in range(len(specs))]
    contents = [
        [_content(each.pixels, spec.form) for each in column]
        for column, spec in zip(columns, specs, strict=True)
    ]
    return Part(findings, contents, [_sizes(column) for column in columns])


def _shrunk_to(path: str, specs: Sequence[StoreSpec], pixels: Pixels) -> list[Shrunk]:
    if not specs:
        # It has the same faults at every scale, and a large JPEG is decoded four times as fast at the least.
        read_picture(path, 1, pixels)
        return []
    pictures = read_scales(path, [sufficient(each.size, each.side) for each in specs], pixels)
    return [shrunk(picture, each.side, each.resize) for picture, each in zip(pictures, specs, strict=True)]


def _sizes(pictures: Sequence[Shrunk]) -> NDArray[np.int64]:
    sizes = [(*each.pixels.shape[:2], *each.shape) for each in pictures]
    return np.array(sizes, dtype=np.int64).reshape(-1, 4)


def _content(pixels: Picture, form: Form) -> Picture:
    """Return the bytes that a store holds of a picture, as an array."""
    if form == "raw":
        return pixels
    content = io.BytesIO()
    if pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    # Colour at full resolution: most files have halved it already, and subsampling again would blur it more.
    Image.fromarray(pixels).save(content, "JPEG", quality=_QUALITY, subsampling=0)
    return np.frombuffer(content.getbuffer(), dtype=np.uint8)


def _is_animated(path: str) -> bool:
    if not path.lower().endswith(_ANIMATED):
        return False
    with open_picture(path) as image:
        return num_frames(image) > 1
