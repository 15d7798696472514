"""Run directories that no training has left: files with anything in them, and ways to open a run."""

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from predicting import predict_options
from rich.console import Console
from small_runs import SMALL, composed, phases, train_small

from imageclf.commands.collect import CollectOptions, causes, collect, terminal_tables, write_files
from imageclf.commands.export import ExportOptions, export
from imageclf.commands.predict import predict_pictures
from imageclf.configs.saved.hydra_record import keep_record
from imageclf.launch.start import train_composed
from imageclf.report.run_files import read_run
from imageclf.report.run_page import write_report

Open = Callable[[Path], object]

TYPED = [
    *phases(head={"lr": "auto", "unfreeze_to": "head"}, tune={"lr": 1e-3, "unfreeze_to": 0}),
    "data.valid_pct=0.3",
    "callbacks.tta.num_augmented=1",
    "callbacks.lr_finder.num_steps=4",
]
# What each way of opening a run reads of it, small files only.
READ = {
    "predict": ["config.yaml", "summary.json", "snapshots/candidates.json"],
    "export": ["config.yaml", "summary.json", "snapshots/candidates.json"],
    "collect": [
        "config.yaml",
        "summary.json",
        "failed.json",
        "metrics.csv",
        ".hydra/start/hydra.yaml",
        ".hydra/start/overrides.yaml",
    ],
    "report": [
        "summary.json",
        "metrics.csv",
        "plan.csv",
        "config.yaml",
        "lr_find/head.csv",
        "lr_find/head.json",
        "predictions/valid.csv",
        "snapshots/candidates.json",
        ".hydra/start/overrides.yaml",
    ],
    "going on": ["config.yaml", "split.csv", "metrics.csv"],
}


class Runs:
    """A finished run, one that has stopped after its first epoch, and the ways to open copies of them.

    Args:
        root: an empty folder.
        pictures: a folder per class.
    """

    def __init__(self, root: Path, pictures: Path) -> None:
        self._root, self._pictures = root, pictures
        self._finished = train_small(root / "finished", pictures, *TYPED)
        write_record(self._finished)
        (self._finished / "failed.json").write_text('{"status": "failed", "cause": "no memory"}')
        write_report(self._finished)
        self._stopped = shutil.copytree(self._finished, root / "stopped")
        for name in ("summary.json", "snapshots", "predictions"):
            path = self._stopped / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self._stopped / "checkpoints" / "previous.ckpt").replace(self._stopped / "checkpoints" / "last.ckpt")

    def content(self, name: str) -> bytes:
        """Return the whole content of a file of the finished run."""
        return (self._finished / name).read_bytes()

    def open(self, way: str, spoil: Callable[[Path], object]) -> Path:
        """Spoil a copy of a run, open it, and return it; whatever opening it raises is raised.

        Args:
            way: one of `READ`, or read: as a report does, but nothing is drawn.
            spoil: is given the copy.
        """
        shutil.rmtree(self._root / "copies", ignore_errors=True)
        source = self._stopped if way == "going on" else self._finished
        run_dir = shutil.copytree(source, self._root / "copies" / "runs" / "run")
        spoil(run_dir)
        getattr(self, f"_{way.replace(' ', '_')}")(run_dir)
        return run_dir

    def _predict(self, run_dir: Path) -> None:
        output = self._root / "copies" / "predicted.csv"
        predict_pictures(predict_options(run=str(run_dir), data=str(self._pictures), output=str(output)))

    def _export(self, run_dir: Path) -> None:
        output = str(self._root / "copies" / "exported")
        export(ExportOptions(str(run_dir), format="timm", weights="best", input="uint8", output=output))

    def _collect(self, run_dir: Path) -> None:
        found = collect(CollectOptions(root=str(run_dir.parent), sort=None, out=None))
        write_files(found, self._root / "copies" / "collected")
        for table in terminal_tables(found, 100):
            Console(file=io.StringIO(), width=100).print(table)
        assert len(found.table) + len(found.left_out) == 1
        assert all(isinstance(line, str) for line in causes(found))

    def _report(self, run_dir: Path) -> None:
        write_report(run_dir)

    def _read(self, run_dir: Path) -> None:
        read_run(run_dir)

    def _going_on(self, run_dir: Path) -> None:
        place = [f"data.root={self._pictures}", f"hydra.run.dir={run_dir}"]
        typed = [*SMALL, *TYPED, *place, "ckpt_path=auto"]
        train_composed(composed(typed, run_dir), run_dir, typed)


def write_record(run_dir: Path) -> None:
    """Write what Hydra records of the command that starts a run."""
    (run_dir / ".hydra").mkdir()
    (run_dir / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(TYPED))
    choices = {"data": "folder", "schedule": "lesson2"}
    node = {"job": {"config_name": "train"}, "runtime": {"choices": choices}}
    (run_dir / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": node}))
    keep_record(run_dir)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
# Content of any file, by what it is.
CONTENTS = {
    "empty": b"",
    "NUL bytes": b"\0" * 1000,
    "no UTF-8": b"\xff\xfe\x00",
    "deep JSON": b"[" * 200_000,
    "deep YAML": b"{a: " * 40_000,
    "an alias bomb": BOMB.encode(),
    "a number of 100,000 digits": b"9" * 100_000,
    "a tag of Python": b"a: !!python/object/apply:canary_module.Canary []\n",
    "an open quote": b'"a',
    "a cell of 300,000 letters": b'epoch,phase\n1,"' + b"x" * 300_000 + b'"\n',
    "20,000 columns": b",".join(b"%d" % column for column in range(20_000)) + b"\n1,2\n",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
}


def replaced(path: Path, kind: str) -> None:
    """Put something that is no small file in the place of a file."""
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "hole":
        path.touch()
        # Takes no room on the disk.
        os.truncate(path, 20_000_000_000)
    else:
        path.symlink_to({"device": "/dev/zero", "broken link": "/nowhere", "loop": path}[kind])


KINDS = ("pipe", "folder", "hole", "device", "broken link", "loop")
VALUES: list[Any] = [
    None, True, -1, 0, 0.5, 1e300, 10**400, float("nan"), float("inf"), "", "NaN", "x" * 100_000, "a\0b",
    "\x1b[31m", "../../x", "${oc.env:HOME}", [], {}, [[[]]], {"_target_": "canary_module.Canary"},
]  # fmt: skip


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Return contents that a disk, a network or a hand may have made of one."""
    places = st.integers(0, len(content) - 1)
    bits, bytes_of_syntax = st.integers(0, 7), st.sampled_from(b'\0\n",:{-9')
    flipped = st.builds(lambda at, bit: _with_byte(content, at, content[at] ^ 1 << bit), places, bits)
    other = st.builds(lambda at, byte: _with_byte(content, at, byte), places, bytes_of_syntax)
    return flipped | other | st.builds(lambda place: content[:place], places) | st.just(content * 2)


def _with_byte(content: bytes, place: int, byte: int) -> bytes:
    return content[:place] + bytes([byte]) + content[place + 1 :]


def with_odd_values(name: str, content: bytes) -> st.SearchStrategy[bytes]:
    """Return contents with one value, or one cell, that no training writes."""
    if name.endswith(".csv"):
        rows = [line.split(",") for line in content.decode().splitlines()]
        return st.builds(lambda *chosen: _with_cell(rows, *chosen), st.integers(0), st.integers(0), CELLS)
    is_json = name.endswith(".json")
    node = json.loads(content) if is_json else yaml.safe_load(content)
    places = list(_places(node))
    dump = json.dumps if is_json else yaml.safe_dump
    return st.builds(
        lambda place, value: dump(_with_value(node, place, value)).encode("utf-8", "replace"),
        st.sampled_from(places),
        st.sampled_from(VALUES),
    )


CELLS = st.sampled_from(
    [
        "",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "9" * 5000,
        "x",
        '"',
        "-1",
        "1e308",
        "True",
        "\x1b[0m",
        "../x",
    ]
)


def _with_cell(rows: list[list[str]], row: int, column: int, cell: str) -> bytes:
    row, column = row % len(rows), column % len(rows[row % len(rows)])
    cells = [list(each) for each in rows]
    cells[row][column] = cell
    return "\n".join(map(",".join, cells)).encode()


def _places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*place, key)
        yield from _places(value, (*place, key))


def _with_value(node: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[place[0]] = _with_value(node[place[0]], place[1:], value)
    return copy
