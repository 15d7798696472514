"""A ckpt_path that a run cannot go on from: one sentence that says what to do, and none is taken wrongly."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from composing import composed_in

from imageclf import InputError
from imageclf.launch.start import train
from imageclf.training.directory import prepare
from imageclf.training.resumable import check_resumable


class _Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {os.environ['CANARY']}",))


@pytest.fixture(scope="module")
def whole(finished_run: Path) -> Path:
    """The checkpoint of a run after its first phase."""
    return finished_run / "checkpoints" / "previous.ckpt"


@pytest.fixture
def changed(whole: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the checkpoint with other entries; None removes one."""

    def write(**entries: Any) -> Path:
        content = torch.load(whole, weights_only=True) | entries
        path = tmp_path / "changed.ckpt"
        torch.save({name: value for name, value in content.items() if value is not None}, path)
        return path

    return write


@pytest.fixture
def start_from(tiny: list[str], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that starts a new run from a checkpoint, up to its end."""

    def run(path: Path, *overrides: str) -> Path:
        run_dir = tmp_path / "new"
        run_dir.mkdir()
        # The classes and the split of the finished run.
        typed = (*tiny, "data.valid=null", f"ckpt_path='{path}'", "~callbacks.report", *overrides)
        prepare(composed_in(run_dir, typed), run_dir, list(typed))
        train(run_dir)
        return run_dir

    return run


def text(path: Path) -> None:
    path.write_text("epoch 3\n")


def empty(path: Path) -> None:
    path.touch()


def cut(path: Path, whole: Path) -> None:
    path.write_bytes(whole.read_bytes()[:-1000])


def flipped(path: Path, whole: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def packed(path: Path, whole: Path) -> None:
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def another_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")


def old_format(path: Path, whole: Path) -> None:
    content = torch.load(whole, weights_only=True)
    torch.save(content, path, _use_new_zipfile_serialization=False)


def weights_of_timm(path: Path, whole: Path) -> None:
    torch.save(torch.load(whole, weights_only=True)["state_dict"], path)


def a_model(path: Path) -> None:
    torch.save(torch.nn.Linear(1, 1), path)


def code(path: Path) -> None:
    torch.save(_Code(), path)


def code_inside(path: Path, whole: Path) -> None:
    torch.save(torch.load(whole, weights_only=True) | {"position": _Code()}, path)


def bare_pickle(path: Path) -> None:
    path.write_bytes(f"\x80\x04cos\nsystem\n(S'touch {os.environ['CANARY']}'\ntR.".encode("latin-1"))


@pytest.mark.fault(
    "Going on",
    "`ckpt_path` is a folder, a pipe, a text, cut, a pickle with code, ...",
    "A sentence; no code runs",
)
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no such file"),
        (Path.mkdir, "is a folder"),
        (os.mkfifo, "is not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a file"),
        (text, "is damaged, or no checkpoint"),
        (empty, "is damaged, or no checkpoint"),
        (cut, "is damaged, or no checkpoint"),
        (flipped, "is damaged, or no checkpoint"),
        (old_format, "is damaged, or no checkpoint"),
        (bare_pickle, "is damaged, or no checkpoint"),
        (another_zip, "is damaged, or no file of weights"),
        (packed, "holds packed data"),
        (weights_of_timm, "holds weights only"),
        (a_model, "no code of a file is run"),
        (code, "no code of a file is run"),
        (code_inside, "no code of a file is run"),
        (lambda path: torch.save([1, 2], path), "holds no weights"),
        (lambda path: torch.save(torch.ones(3), path), "holds no weights"),
    ],
)
def test_what_is_no_checkpoint_is_one_sentence_and_runs_no_code(
    make: Callable[..., object], said: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", str(tmp_path / "canary"))
    path = tmp_path / "given.ckpt"
    takes_whole = "whole" in getattr(make, "__code__", text.__code__).co_varnames
    make(path, whole) if takes_whole else make(path)
    with pytest.raises(InputError) as refused:
        check_resumable(path)
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"ckpt_path={path}")
    assert str(refused.value).endswith("give a file of a run's checkpoints/, auto or null")
    assert not (tmp_path / "canary").exists()


@pytest.mark.fault(
    "Going on", "`ckpt_path` lacks entries, or has odd ones", "A sentence before a picture is read"
)
@pytest.mark.parametrize(
    "entries",
    [
        {"state_dict": None},
        {"state_dict": [1]},
        {"optimizer_states": None},
        {"callbacks": [1]},
        {"pytorch-lightning_version": None},
        *(
            {"position": value}
            for value in ("a", [1], [-1, 0], [1.5, 0], [True, 0], ["a", "b"], [1, 0, 0], {})
        ),
    ],
)
def test_a_checkpoint_that_no_run_has_saved_is_one_sentence(
    entries: dict[str, Any], changed: Callable[..., Path]
) -> None:
    with pytest.raises(
        InputError, match=rf"is not a checkpoint of a run of imageclf: .*{next(iter(entries))}"
    ):
        check_resumable(changed(**entries))


@pytest.mark.fault(
    "Going on",
    "`ckpt_path` is of a run of other classes, or of another length",
    "A sentence names what differs",
)
@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"classes": ["blue", "green"]}, "it has 2 classes, and this run has 3"),
        ({"classes": ["blue", "cat", "red"]}, "its class 'cat' is 'green' in this run"),
        ({"position": [2, 0]}, "it has done 2 epochs, and this run's schedule ends after 2"),
        ({"position": [10**9, 0]}, "it has done 1,000,000,000 epochs"),
        ({"position": [0, 9]}, "it has done 9 batches of epoch 0, which has 3 in this run"),
        ({"optimizer_states": [{}]}, "it has no state of an optimizer"),
        ({"state_dict": {"model.head.1.weight": torch.ones(1)}}, "its model is another one"),
        ({"grid": [4, 16]}, "its position embeddings are for pictures of another shape"),
    ],
)
@pytest.mark.sampled(3)
def test_a_checkpoint_of_another_run_is_refused_with_what_differs(
    entries: dict[str, Any], said: str, changed: Callable[..., Path], start_from: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=said) as refused:
        start_from(changed(**entries))
    assert "start a new run from its weights with model.weights=" in str(refused.value)


@pytest.mark.fault(
    "Going on", "`ckpt_path` is of another backbone, optimizer or grouping", "A sentence names what differs"
)
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.backbone=test_efficientnet", "its model is another one"),
        ("model/optimizer=sgd", "its optimizer is another one"),
        ("model.groups=2", "its layers are grouped otherwise"),
    ],
)
@pytest.mark.sampled(3)
def test_a_checkpoint_is_refused_by_a_run_of_another_config(
    override: str, said: str, whole: Path, start_from: Callable[..., Path]
) -> None:
    with pytest.raises(InputError, match=said):
        start_from(whole, override)


@pytest.mark.fault("Going on", "Another run's checkpoint lies in `checkpoints/`", "It is refused")
def test_a_run_whose_own_checkpoint_was_replaced_is_refused(
    changed: Callable[..., Path], start_from: Callable[..., Path], whole: Path, tmp_path: Path
) -> None:
    run_dir = start_from(whole)
    changed(classes=["blue", "cat", "red"]).replace(run_dir / "checkpoints" / "last.ckpt")
    with pytest.raises(
        InputError, match=r"new/checkpoints/last\.ckpt is not a checkpoint .* 'cat' is 'green'"
    ):
        train(run_dir)


@pytest.mark.fault(
    "Going on", "Rows of split.csv are gone", "It is refused: the pictures are no longer the same"
)
def test_a_run_whose_split_was_cut_is_refused(start_from: Callable[..., Path], whole: Path) -> None:
    run_dir = start_from(whole)
    rows = (run_dir / "split.csv").read_text().splitlines(keepends=True)
    (run_dir / "split.csv").write_text("".join(rows[:-1]))
    with pytest.raises(
        InputError, match=r"its pictures, classes or splits are not those that are now in split"
    ):
        train(run_dir)


@pytest.mark.fault(
    "Going on",
    "There are more or fewer threads than before",
    "It goes on, and says that the bits will differ",
)
def test_other_threads_than_before_are_said(
    changed: Callable[..., Path], start_from: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    start_from(changed(threads=7))
    assert "saved with 7 threads, and there are 1 now" in caplog.text
    assert "OMP_NUM_THREADS=7" in caplog.text


@pytest.mark.parametrize("entries", [{}, {"ranks": None, "classes": None, "threads": None, "table": None}])
def test_a_new_run_goes_on_from_a_checkpoint_that_fits_of_any_version(
    entries: dict[str, Any],
    changed: Callable[..., Path],
    start_from: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        start_from(changed(**entries))
    assert "resuming at epoch 1, batch 0" in caplog.messages


def test_a_checkpoint_below_the_home_may_be_named_by_a_tilde(
    whole: Path,
    start_from: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HOME", str(whole.parent))
    with caplog.at_level("INFO"):
        start_from(Path("~", whole.name))
    assert "resuming at epoch 1, batch 0" in caplog.messages
