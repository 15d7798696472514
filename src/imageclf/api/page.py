"""A page of HTML that a notebook shows in place."""

import os
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

_FRAME = Markup(
    '<iframe srcdoc="{}" title="{}" style="width: 100%; height: {}px; border: 1px solid #8886"></iframe>'
)
_HEIGHT = 720  # pixels


@dataclass(frozen=True)
class Page(os.PathLike[str]):
    """A page that was written: a path to open, and the page itself as the last value of a notebook's cell.

    Args:
        path: of the HTML file, which needs no network and no other file.
    """

    path: Path

    def __fspath__(self) -> str:
        # For `open`, `shutil.copy` and the like.
        return str(self.path)

    def _repr_html_(self) -> str:
        # In a frame of its own, so that neither page restyles the other.
        text = self.path.read_text(encoding="utf-8")
        return str(_FRAME.format(text, self.path.name, _HEIGHT))
