"""The problems of a data set as tiles: the picture, the one that it repeats, and what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imageclf.analysis.problems import KINDS, Problem, count_kinds
from imageclf.report.run_pictures import common_folder
from imageclf.report.thumbnails import thumbnail_uri

_SIDE = 176  # pixels: twice what a tile shows on a narrow screen


@dataclass(frozen=True)
class Shown:
    """One picture: `image` is a `data:` address, None if the file cannot be read."""

    image: str | None
    name: str
    path: str


@dataclass(frozen=True)
class ProblemTile:
    """One problem: its picture and, of a pair, the first of the two behind it."""

    pictures: list[Shown]
    detail: str


@dataclass(frozen=True)
class ProblemGallery:
    """All problems of a kind by number, and the first of them as tiles."""

    kind: str
    title: str
    meaning: str
    count: int
    tiles: list[ProblemTile]

    @property
    def more(self) -> int:
        """How many have no tile."""
        return self.count - len(self.tiles)


def problem_galleries(
    problems: Sequence[Problem], paths: Sequence[str], limit: int = 24
) -> list[ProblemGallery]:
    """Return a gallery per kind of problem that occurs, with up to `limit` tiles.

    Args:
        problems: of the pictures.
        paths: of all pictures.
        limit: tiles of a kind.
    """
    folder = common_folder(list(paths))
    galleries = []
    for kind, count in count_kinds(problems).items():
        chosen = [problem for problem in problems if problem.kind == kind][:limit]
        tiles = [_tile(problem, paths, folder) for problem in chosen]
        galleries.append(ProblemGallery(kind, *KINDS[kind], count, tiles))
    return galleries


def _tile(problem: Problem, paths: Sequence[str], folder: str) -> ProblemTile:
    rows = [problem.row] if problem.other < 0 else [problem.row, problem.other]
    return ProblemTile([_shown(Path(paths[row]), folder) for row in rows], problem.detail)


def _shown(path: Path, folder: str) -> Shown:
    return Shown(thumbnail_uri(path, _SIDE), path.name, str(path).removeprefix(folder))
