"""Tags, and the config as a tree."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.configs.paths import run_name
from imageclf.training.extras import check_tags, config_tree, labels_of, tree_text


def test_without_tags_a_run_is_refused_where_they_are_asked_for(parsed):
    with pytest.raises(InputError, match=r"tags=\[\]: extras.enforce_tags asks for some"):
        check_tags(parsed("extras.enforce_tags=true"))


@pytest.mark.parametrize("overrides", [[], ["extras.enforce_tags=true", "tags=[a]"]])
def test_otherwise_it_goes_on(overrides, parsed):
    check_tags(parsed(*overrides))


def test_a_run_is_found_by_its_labels(parsed):
    labels = labels_of(parsed("tags=[a,b]", "task_name=mine"))
    assert labels == {"experiment": None, "task_name": "mine", "tags": "a, b"}


def test_a_tree_has_a_branch_per_group_and_a_line_per_value_or_node():
    node = {
        "data": {"size": 64, "root": "[x]"},
        "callbacks": {"tta": {"views": None, "beta": 0.4}},
        "seed": 1,
    }
    assert tree_text(config_tree(node)).splitlines() == [
        "config",
        "├── data",
        "│   ├── size=64",
        "│   └── root=[x]",
        "├── callbacks",
        "│   └── tta  views=null  beta=0.4",
        "└── seed=1",
    ]


def test_a_long_line_of_a_tree_is_not_cut():
    assert "x" * 500 in tree_text(config_tree({"root": "x" * 500}))


@pytest.fixture(scope="module")
def labelled(tiny, composed, tmp_path_factory):
    """Train with tags through the main's own function, and return the run directory."""
    from imageclf.launch.start import train_composed

    run_dir = tmp_path_factory.mktemp("labelled")
    cfg = composed(*tiny, "tags=[first,small]", "task_name=mine", "data.root=${oc.env:PICTURES}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PICTURES", next(each for each in tiny if each.startswith("data.root=")).partition("=")[2]
        )
        train_composed(cfg, run_dir, [])
    return run_dir


def test_the_summary_holds_the_labels(labelled):
    summary = json.loads((labelled / "summary.json").read_text())
    assert (summary["tags"], summary["task_name"]) == ("first, small", "mine")


def test_the_tree_is_saved_and_tells_nothing_of_the_environment(labelled):
    text = (labelled / "config_tree.log").read_text(encoding="utf-8")
    assert "root=${oc.env:PICTURES}" in text
    assert all(name in text for name in OmegaConf.load(labelled / "config.yaml"))


def test_the_tree_is_printed_only_where_it_is_asked_for(tiny, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [*tiny, "schedule=head_only", "schedule.phases.head.cycle_len=1", "schedule.phases.head.lr=0.01"]
    words = [each for each in small if "finetune" not in each and each != "schedule=quick"]
    outcome = command("train", *words, "task_name=mine", "tags=[quiet]")
    assert outcome.code == 0, outcome.err
    assert "├──" not in outcome.out
    assert "tags: quiet" in outcome.out + outcome.err
    run_dir = Path(outcome.out.splitlines()[-1])
    assert "├──" in (run_dir / "config_tree.log").read_text(encoding="utf-8")
    assert run_dir.parent == tmp_path / "runs" / "mine"


@pytest.mark.parametrize(
    ("names", "folder"),
    [((None, "null"), "train"), ((None, "dogs"), "dogs"), (("mine", "dogs"), "mine"), (("", None), "train")],
)
def test_the_folder_of_a_run_is_the_first_name_that_there_is(names, folder):
    assert run_name(*names) == folder


def test_the_config_of_one_machine_holds_without_being_named(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "local").mkdir(parents=True)
    text = "# @package _global_\ndata:\n  cache_gb: 7\n"
    (tmp_path / "mine" / "local" / "default.yaml").write_text(text)
    outcome = command("train", "--config-dir=mine", "--cfg=job")
    assert "cache_gb: 7" in outcome.out


def test_git_ignores_the_config_of_one_machine_but_not_the_example():
    import subprocess

    root = Path(__file__).parents[2]
    names = ["conf/local/default.yaml", "conf/local/example.yaml"]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *names], cwd=root, capture_output=True, text=True, check=False
    )
    if ignored.returncode > 1:
        pytest.skip("this is no git repository")
    assert ignored.stdout.splitlines() == ["conf/local/default.yaml"]
