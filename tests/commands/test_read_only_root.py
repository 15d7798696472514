"""A container whose root cannot be written to: one folder that can is enough for every command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Everything is read-only in the mount namespace of the command, but for $1; what it is given runs there.
IN_A_NAMESPACE = """
mount --make-rprivate / && mount --bind "$1" "$1" && mount -o remount,ro,bind / || exit 99
cd "$1" && shift && exec "$@"
"""


def can_mount() -> bool:
    """Return whether this user may mount in a namespace of their own."""
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "--mount", "sh", "-c", "mount --make-rprivate / && mount -o remount,ro,bind /"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def run_in(folder: Path, command: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command where nothing but a folder can be written to, and no variable names another."""
    kept = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "MPLCONFIGDIR")}
    inside = ["unshare", "--mount", "sh", "-c", IN_A_NAMESPACE, "sh", str(folder)]
    home = str(folder.parent / "home")
    return subprocess.run(
        [*inside, sys.executable, "-m", f"imageclf.{command}", *arguments],
        env=kept | {"TMPDIR": str(folder), "HOME": home},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
@pytest.mark.fault(
    "Terminals, paths and networks",
    "The root of a container is read-only, with one folder to write to",
    "Every command runs there; the cache is among the temporary files, and that is said",
)
@pytest.mark.skipif(not can_mount(), reason="only root, or who may mount, can make the root read-only")
def test_one_folder_to_write_to_is_enough_to_train_predict_export_and_analyse(
    tiny: list[str], dataset: Path, tmp_path: Path
) -> None:
    # A home that is there but cannot be written to, as the cache in it.
    (tmp_path / "home/.cache/imageclf").mkdir(parents=True)
    folder = tmp_path / "writable"
    folder.mkdir()
    before = sorted(tmp_path.rglob("*"))

    trained = run_in(folder, "train", *tiny, "hydra.run.dir=run")
    assert trained.returncode == 0, trained.stderr
    assert "the cache cannot be made in" in (folder / "run/train.log").read_text()
    for command, *arguments in (
        ("predict", "run=[run]", f"data={dataset}/valid"),
        ("export", "run=run", "format=timm"),
        ("analyse", f"data={dataset}"),
    ):
        done = run_in(folder, command, *arguments)
        assert done.returncode == 0, done.stderr

    assert (folder / "run/report.html").exists()
    assert [path for path in sorted(tmp_path.rglob("*")) if folder not in path.parents] == before
