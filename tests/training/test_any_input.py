"""Tables, trees, schedules and overrides of any kind: taken as they stand, or refused in a sentence."""

import csv
import io
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hydra.errors import HydraException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf.errors import OmegaConfBaseException

from imageclf import InputError
from imageclf.configs import load_config, save_config, to_plain
from imageclf.data import CsvSource, FolderSource
from imageclf.training.check_keys import check
from imageclf.training.run_config import RunConfig, parse

FEW = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
# What spreadsheets, databases and people put into cells.
CELLS = st.sampled_from(
    ["a", "b", "0", "00123", "1.0", "NA", "null", "None", "", " a", "a b", "a,b", "a;b", 'a"b', "a\nb", "é"]
) | st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5)
NAMES = st.sampled_from(
    ["cat", "dog", "a b", "é", "[red]", "-", "=1+1", ".hidden", "._0", "train", "valid", "test", "\x1b[31m"]
)
SUFFIXES = st.sampled_from([".jpg", ".JPEG", ".png", ".txt", "", ".csv", ".webp"])
FOLDERS = st.lists(NAMES, max_size=3)
PATHS = st.builds(lambda folders, name, suffix: (*folders, name + suffix), FOLDERS, NAMES, SUFFIXES)
NUMBERS = st.sampled_from(
    [None, True, -1, 0, 1, 2, 3, 0.1, 1e-3, 1e9, math.nan, math.inf, "auto", "x", [1, 2], {}]
)
OPTIONS = st.sampled_from(["n_cycles", "cycle_len", "cycle_mult", "lr", "lr_ratio", "unfreeze_to", "size"])
PHASES = st.dictionaries(
    st.sampled_from(["head", "tune", "a b", ""]),
    st.dictionaries(OPTIONS, NUMBERS, max_size=4) | st.none(),
    max_size=3,
)
KEYS = [
    "seed", "data.size", "data.valid_pct", "data.split", "data.fold", "model.backbone", "model.head.dropout",
    "schedule.phases.head.lr", "trainer.devices", "callbacks.tta.views", "callbacks.snapshots", "tags",
    "task_name", "optimized_metric", "nonsense", "data.nonsense",
]  # fmt: skip
VALUES = [
    "", "null", "true", "0", "-1", "1e400", "nan", "abc", "a b", "[1,2]", "{a: 1}", "${seed}", "???",
    "[[[]]]", "'${oc.env:HOME}'", "\x1b[31m", "'=1+1'", "10" * 200,
]  # fmt: skip


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for one example."""
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def read_csv(root: Path):
    """Read root/labels.csv, whose ids are complete file names below root/pictures."""
    columns = dict.fromkeys(("id_column", "label_column", "group_column", "valid_column", "test"))
    return CsvSource(root=str(root), csv="labels.csv", images="pictures", suffix=None, **columns).read()


@pytest.mark.fault(
    "Folders and tables",
    "A table has any cells at all",
    "It is read exactly as written, or refused in a sentence",
)
@FEW
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), st.sampled_from(",;\t"))
def test_a_table_is_read_exactly_or_refused(rows, separator):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator).writerows([("id", "label"), *rows])
    with folder() as root:
        (root / "labels.csv").write_text(text.getvalue(), encoding="utf-8", newline="")
        (root / "pictures").mkdir()
        for name, _ in rows:
            if name and "/" not in name and name not in (".", ".."):
                (root / "pictures" / name).touch()
        try:
            table = read_csv(root)
        except InputError:
            return
        assert list(zip(table.ids, table.frame["label"], strict=True)) == list(dict.fromkeys(rows))


@FEW
@given(st.binary(max_size=200))
def test_bytes_are_no_table(content):
    with folder() as root:
        (root / "labels.csv").write_bytes(content)
        (root / "pictures").mkdir()
        with pytest.raises(InputError):
            read_csv(root)


@pytest.mark.fault(
    "Folders and tables",
    "A tree has any folders and files",
    "Its pictures are found, each once, or it is refused",
)
@FEW
@given(st.sets(PATHS, max_size=12))
def test_a_tree_gives_each_picture_once_or_is_refused(paths):
    with folder() as root:
        made = []
        for parts in sorted(paths):
            path = root.joinpath(*parts)
            # A name may be a file here and a folder there.
            if not path.exists() and not any(parent.is_file() for parent in path.parents):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                made.append(parts)
        try:
            table = FolderSource(str(root), ".", None, None).read()
        except InputError:
            return
        pictures = {
            str(root.joinpath(*parts))
            for parts in made
            if len(parts) > 1
            and parts[-1].lower().endswith((".jpg", ".jpeg", ".png", ".webp"))
            and not any(part.startswith(".") for part in parts)
        }
        assert sorted(table.paths) == sorted(pictures)
        labels = [Path(path).relative_to(root).parts[0] for path in table.paths]
        assert labels == table.frame["label"].tolist()


@pytest.fixture(scope="module")
def plain(composed, tiny):
    return to_plain(composed(*tiny))


@pytest.mark.fault(
    "Configs and secrets", "A schedule has any values", "Each epoch has its place, or it is refused"
)
@FEW
@given(phases=PHASES)
def test_a_schedule_has_a_place_for_every_epoch_or_is_refused(plain, phases):
    try:
        schedule = parse(plain | {"schedule": {"phases": phases}}, RunConfig).schedule
    except InputError:
        return
    names = [name for name, phase in schedule.phases.items() for _ in range(phase.epochs)]
    assert [schedule.at(epoch).name for epoch in range(len(names))] == names


@pytest.mark.fault(
    "Configs and secrets", "An override is anything", "It is legal, saved and read back, or refused"
)
@pytest.mark.long
@FEW
@given(prefix=st.sampled_from(["", "+", "++", "~"]), key=st.sampled_from(KEYS), value=st.sampled_from(VALUES))
def test_an_override_is_legal_and_survives_its_file_or_is_refused(composed, prefix, key, value):
    try:
        cfg = composed(f"{prefix}{key}={value}", "data.root=data")
        plain = to_plain(cfg)
        check(plain, RunConfig)
    except (InputError, HydraException, OmegaConfBaseException):
        return
    with folder() as root:
        save_config(cfg, root / "config.yaml")
        assert load_config(root / "config.yaml") == plain
