"""What happens to faulty data and to disturbed runs, here and elsewhere: `python benchmarks/faults.py`.

Every cell is one process with one fault, judged from outside: by its exit, by what it prints, and by what it
leaves. Some fifteen minutes on two cores. A reader that is not installed is left out, and said.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from fault_probes import READERS, whole
from PIL import ExifTags, Image

HERE = Path(__file__).parent
# A process that only waits for a busy machine is not to be called hanging.
SECONDS = 120
Found = dict[str, Any]


class Case(NamedTuple):
    """A fault of a data set.

    Args:
        words: of the row.
        make: puts it into a folder of good pictures.
        judge: what became of it, where nothing failed.
    """

    words: str
    make: Callable[[Path], object]
    judge: Callable[[Found], str]


def good_folder(folder: Path) -> Path:
    """Draw two classes of eight pictures to train on, and two each to hold out."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("valid", 2)):
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                noise = generator.integers(0, 200, (48, 64, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / split / label / f"{number}.jpg")
    return folder


def cut(folder: Path) -> None:
    """Leave half of a picture."""
    content = (folder / "train/cat/0.jpg").read_bytes()
    (folder / "train/cat/odd.jpg").write_bytes(content[: len(content) // 2])


def turned(folder: Path) -> None:
    """Hold the camera sideways."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    with Image.open(folder / "train/cat/0.jpg") as picture:
        picture.save(folder / "train/cat/odd.jpg", exif=exif)


def deep(folder: Path) -> None:
    """Save 16 bits a pixel, black to white."""
    ramp = np.linspace(0, 65535, 48 * 64, dtype=np.uint16).reshape(48, 64)
    Image.fromarray(ramp).save(folder / "train/cat/odd.png")


def hidden(folder: Path) -> None:
    """Leave what macOS and Jupyter leave."""
    (folder / "train/cat/._0.jpg").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    (folder / "train/.ipynb_checkpoints").mkdir()
    shutil.copy(folder / "train/cat/0.jpg", folder / "train/.ipynb_checkpoints")


def reads(found: Found) -> str:
    """Say that a picture was taken."""
    return "taken as a picture"


CASES = [
    Case("A JPEG is cut in half", cut, reads),
    Case("A pipe is called `.jpg`", lambda folder: os.mkfifo(folder / "train/cat/odd.jpg"), reads),
    Case(
        "PostScript is called `.jpg`",
        lambda folder: (folder / "train/cat/odd.jpg").write_text(
            "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
        ),
        reads,
    ),
    Case(
        "A camera was held sideways (EXIF)",
        turned,
        lambda found: "upright" if found["shape"] == [64, 48] else "sideways",
    ),
    Case(
        "A picture among others has 16 bits",
        deep,
        lambda found: "clipped to white" if found["white"] > 0.5 else "scaled to 8 bits",
    ),
    Case(
        "`._0.jpg` and `.ipynb_checkpoints/`",
        hidden,
        lambda found: "skipped" if len(found["classes"]) == 2 else "a class of its own",
    ),
    Case(
        "A class folder is empty",
        lambda folder: (folder / "train/odd").mkdir(),
        lambda found: "kept, without a picture" if "odd" in found["classes"] else "silently left out",
    ),
    Case(
        "A link leads back to its own folder",
        lambda folder: (folder / "train/cat/odd").symlink_to(folder / "train/cat"),
        lambda found: f"{found['pictures']} pictures of 16",
    ),
    Case(
        "A class is in validation only",
        lambda folder: shutil.copytree(folder / "valid/cat", folder / "valid/an odd bird"),
        lambda found: "ignored" if found["same numbers"] else "classes get other numbers there",
    ),
]


def outcome(reader: str, case: Case, place: Path) -> str:
    """Let a reader read a folder with a fault, and say what became of it."""
    folder = good_folder(place / "data")
    case.make(folder)
    # Ghostscript, if anybody starts it.
    ghost = place / "gs"
    ghost.write_text(f"#!/bin/sh\ntouch {place / 'started'}\n")
    ghost.chmod(0o755)
    environment = os.environ | {"PATH": f"{place}:{os.environ['PATH']}"}
    command = [sys.executable, str(HERE / "fault_probes.py"), reader, "read", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if (place / "started").exists():
        return "Ghostscript is started on it"
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1]
        return (
            "refused by its name" if "odd" in said else f"ends: {said.partition(':')[0].rpartition('.')[2]}"
        )
    return case.judge(json.loads(done.stdout.splitlines()[-1]))


def train(trainer: str, kind: str, place: Path) -> "subprocess.CompletedProcess[str]":
    """Train in a folder, or go on there."""
    command = [sys.executable, str(HERE / "fault_probes.py"), "lightning", kind, str(place)]
    if trainer == "imageclf":
        provoke = f"+callbacks.provoke={{_target_: fault_probes.Provoke, kind: {kind}}}"
        command = [
            *(sys.executable, "-m", "imageclf.train", f"data={place}", f"hydra.run.dir={place}/run"),
            *("model.backbone=test_resnet", "model.weights=none", "schedule=quick", "trainer=cpu"),
            *("data.size=32", "schedule.phases.head.size=32", "schedule.phases.finetune.size=32"),
            *("data.batch_size=4", "data.num_workers=0", "callbacks.checkpoint.every_n_batches=1"),
            *("~callbacks.report", "ckpt_path=auto", provoke),
        ]
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False
    )


def weights(trainer: str, place: Path) -> bytes:
    """Return the bytes of the weights that a training ended with; none if it did not end."""
    file = place / ("run/snapshots/final.ckpt" if trainer == "imageclf" else "weights.pt")
    if not file.exists():
        return b""
    content = torch.load(file, weights_only=True)
    state = content.get("state_dict", content)
    return b"".join(tensor.numpy().tobytes() for tensor in state.values())


def is_finite(place: Path) -> bool:
    """Return whether all checkpoints below a folder hold finite weights."""
    states = [content["state_dict"].values() for content in whole(place)]
    return all(bool(tensor.isfinite().all()) for state in states for tensor in state)


def nan(trainer: str, place: Path) -> str:
    """Let the weights turn NaN."""
    code = train(trainer, "spoil", good_folder(place / "data")).returncode
    saved = "nothing of it is saved" if is_finite(place) else "NaN is saved"
    return f"{'ends' if code else 'trains on'}; {saved}"


def going_on(kind: str) -> Callable[[str, Path], str]:
    """Return what disturbs a training, starts it again, and compares it with an undisturbed one."""

    def judge(trainer: str, place: Path) -> str:
        """Say how the training that goes on ends."""
        undisturbed = good_folder(place / "undisturbed")
        train(trainer, "none", undisturbed)
        disturbed = good_folder(place / "disturbed")
        shutil.rmtree(disturbed / "train")
        shutil.copytree(undisturbed / "train", disturbed / "train")
        train(trainer, kind, disturbed)
        kept = len(list(whole(disturbed)))
        again = train(trainer, kind, disturbed)
        same = weights(trainer, disturbed) == weights(trainer, undisturbed) != b""
        ends = "the same weights, bit for bit" if same else "other weights"
        return f"{kept} whole checkpoints; then {ends if again.returncode == 0 else 'does not go on'}"

    return judge


def changed(trainer: str, place: Path) -> str:
    """Add pictures while a training waits to go on."""
    folder = good_folder(place / "data")
    train(trainer, "kill", folder)
    for number in range(8):
        shutil.copy(folder / f"train/cat/{number}.jpg", folder / f"train/dog/more-{number}.jpg")
    done = train(trainer, "kill", folder)
    if trainer == "imageclf":
        pictures = (folder / "run/split.csv").read_text().count('"train"')
    else:
        pictures = int(done.stdout.splitlines()[-1])
    return f"goes on with {pictures} pictures"


RUNS: dict[str, Callable[[str, Path], str]] = {
    "Weights turn NaN": nan,
    "SIGTERM inside an epoch": going_on("term"),
    "SIGKILL inside an epoch": going_on("kill"),
    "The disk is full while a checkpoint is written": going_on("full"),
    "Eight pictures are added to sixteen before it goes on": changed,
}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return rows as Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]]
    return "\n".join(lines) + "\n"


def run_in(folder: str, ask: Callable[[Path], str]) -> str:
    """Ask in a new folder below another."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        return ask(Path(place))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows with this text")
    only = parser.parse_args().only
    readers = [name for name in READERS if find_spec(name)]
    missing = sorted(set(READERS) - set(readers))
    with tempfile.TemporaryDirectory() as root:
        read = [
            [case.words, *(run_in(root, lambda place, r=r, c=case: outcome(r, c, place)) for r in readers)]
            for case in CASES
            if only in case.words
        ]
        print(table(["data", *readers], read), flush=True)
        trainers = ["imageclf", "lightning"]
        rows = [
            [words, *(run_in(root, lambda place, t=t, j=judge: j(t, place)) for t in trainers)]
            for words, judge in RUNS.items()
            if only in words
        ]
        print(table(["training", "imageclf", "Lightning's Trainer"], rows))
    if missing:
        print(f"not installed, and left out: {', '.join(missing)}", file=sys.stderr)


if __name__ == "__main__":
    main()
