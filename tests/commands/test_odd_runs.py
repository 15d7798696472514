"""imageclf-collect over run directories with anything in them: never a traceback, no run lost."""

import io
import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from imageclf.commands.collect import CollectOptions, collect, terminal_tables, write_files

# Columns of the table, its own way out of a clash, and what YAML takes for something else than a text.
NAMES = [
    "run", "status", "cause", "epochs", "epochs_done", "best_epoch", "seconds", "tags", "task_name",
    "data_set", "seeds", "folds", "folds_done", "val/acc", "val/acc mean", "oof/acc", "config:epochs",
    "config:config:epochs", "seed", "data.root", "a.b", "", " ", "=1+1", "[red]", "\u202e", "null", "1",
]  # fmt: skip
TEXTS = st.sampled_from([*NAMES, "${seed}", "???", "=cmd()", "x" * 300, "\x1b[31m"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
NODES = st.dictionaries(
    st.sampled_from([*NAMES, "data", "schedule", "metrics", "callbacks"]), VALUES, max_size=6
)
METRICS = "epoch,phase,val/acc,val/loss,seconds\n0,head,0.5,1.2,3.5\n1,tail,0.75,0.9,4.0\n"
OTHERS = [
    "",
    "\x00",
    "phase\nhead\n",
    "epoch,phase\nx,y\ninf,z\n",
    "epoch,epoch,phase\n1,2,a\n",
    "a,b\n1,2,3\n",
]


@st.composite
def files_of_a_run(draw) -> dict[str, str]:
    """Draw the content of a run's files by name: odd, or cut at any place."""
    config, summary = draw(NODES), draw(NODES | st.fixed_dictionaries({"val/acc": VALUES}))
    failure = draw(st.fixed_dictionaries({"status": VALUES, "cause": VALUES}))
    whole = {
        "config.yaml": yaml.safe_dump(config),
        ".hydra/config.yaml": yaml.safe_dump(config),
        "summary.json": json.dumps(summary, default=str),
        "failed.json": json.dumps(failure, default=str),
        "metrics.csv": draw(st.sampled_from([METRICS, *OTHERS])),
        "train.log": "",
    }
    chosen = draw(st.sets(st.sampled_from(sorted(whole)), min_size=1))
    ends = {name: draw(st.none() | st.integers(0, len(whole[name]))) for name in sorted(chosen)}
    return {name: whole[name][:end] for name, end in ends.items()}


def collected(runs: list[dict[str, str]], root: Path):
    """Write the files of runs, and collect them as the command does, into files and a table."""
    for number, files in enumerate(runs):
        for name, content in files.items():
            path = root / "runs" / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, errors="replace")
    found = collect(CollectOptions(root=str(root / "runs"), sort=None, out=None))
    write_files(found, root / "out")
    for table in terminal_tables(found, 100):
        Console(file=io.StringIO(), width=100).print(table)
    return found


GOOD = {
    "config.yaml": "seed: 1\n",
    "metrics.csv": METRICS,
    "summary.json": '{"val/acc": 0.5}',
    "train.log": "",
}


@pytest.mark.long
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(files_of_a_run(), min_size=1, max_size=4))
@pytest.mark.fault(
    "Files of strangers",
    "A folder of runs has anything in its files",
    "`imageclf-collect` shows each run, or names it as left out",
)
def test_each_run_is_in_the_table_or_named_as_left_out(runs):
    root = Path(tempfile.mkdtemp())
    try:
        found = collected([GOOD, *runs], root)
        assert sorted([*found.table["run"], *found.left_out, *found.refused]) == [
            str(n) for n in range(len(runs) + 1)
        ]
        assert found.table.columns.is_unique
        assert len(pd.read_csv(root / "out" / "collect.csv")) == len(found.table)
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize("name", ["epochs", "status", "run", "val/acc", "config:epochs", "data_set"])
def test_an_override_named_like_a_column_has_a_column_of_its_own(name, tmp_path):
    odd = {
        ".hydra/config.yaml": f"{name!r}: 5\n",
        "failed.json": '{"status": "failed", "cause": "no memory"}',
    }
    table = collected([GOOD, odd], tmp_path).table
    assert table.columns.is_unique
    assert table[f"config:{name}"].tolist() == ["", "5"]
