"""Open a picture file: a regular file of one of few formats."""

import os
import stat
from pathlib import Path

from PIL import Image, ImageFile

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Pillow's names of what is decoded; JPEG opens MPO, PPM opens PGM and PBM. Pillow goes by a file's content,
whatever its suffix, and would hand PostScript to Ghostscript, which runs it."""


def open_picture(path: str | Path) -> ImageFile.ImageFile:
    """Return a picture whose header is read.

    Raises:
        OSError: there is no such file, or it is a folder, a pipe, a socket or a device, whose opening may
            wait for ever or do something; Pillow's UnidentifiedImageError: it is of no such format.
    """
    # Whoever swaps the file between the two calls gains no more than that this process waits.
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
        raise OSError("it is a folder, a pipe or a device, not a file")
    return Image.open(path, formats=FORMATS)
