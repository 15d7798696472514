"""The commands as a user calls them: what they print, write and exit with."""

import ast
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

import imageclf.commands.plan
from imageclf.analysis.lr_curve import Suggestion
from imageclf.commands.lr_find import suggestion_lines
from imageclf.commands.records import read_record
from imageclf.system.machine import processor_name

CLASSES = ["blue", "green", "red"]
GROUPS = ["lr/body0", "lr/body1", "lr/head"]


# As a script's shell starts what has an & behind it.
IN_THE_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$@"', "sh")


def start(folder: Path, *arguments: str, before: Sequence[str] = ()) -> "subprocess.Popen[str]":
    """Start `python -m imageclf.train` in a folder, by another command if there is one before it."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "imageclf.train", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory, warm_start) -> tuple[Path, str, str]:
    """Train in a folder of its own, one rate being searched; return (folder, stdout, stderr)."""
    folder = tmp_path_factory.mktemp("cwd")
    search = ("schedule.phases.head.lr=auto", "callbacks.lr_finder.num_steps=8")
    done = warm_start.command("train", folder, *tiny, *search)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout, done.stderr


@pytest.fixture(scope="module")
def run(trained) -> Path:
    """Return the directory of the trained run."""
    folder, out, _ = trained
    return folder / out.splitlines()[-1]


@pytest.fixture(scope="module")
def summary(run):
    return json.loads((run / "summary.json").read_text())


@pytest.fixture
def here(monkeypatch, tmp_path) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_lies_below_runs_train_under_its_id(trained, run):
    assert run.parent == trained[0] / "runs" / "train"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{4}", run.name)


def test_a_run_warns_of_nothing_but_its_random_weights(trained):
    _, out, err = trained
    assert "Warning" not in out + err
    assert (out + err).count("THE BODY STARTS FROM RANDOM WEIGHTS") == 1


def test_the_log_says_before_the_first_epoch_what_the_run_trains_on(run):
    log = (run / "train.log").read_text()
    said = f"trains on cpu ({processor_name()}), 32-true, deterministic, no data workers"
    assert log.count("trains on ") == 1
    assert f"; {date.today()} on {socket.gethostname()}\n" in log
    assert log.index(said) < re.search(r"epoch +0 ", log).start()


def test_the_report_says_what_the_run_trained_on(run):
    assert f"Trained on cpu ({processor_name()})" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    "file",
    [
        "config.yaml",
        ".hydra/config.yaml",
        ".hydra/overrides.yaml",
        "train.log",
        "split.csv",
        "metrics.csv",
        "plan.csv",
        "plan.png",
        "lr_find/head.csv",
        "lr_find/head.png",
        "lr_find/head.json",
        "checkpoints/last.ckpt",
        "snapshots/head-0.ckpt",
        "snapshots/finetune-0.ckpt",
        "predictions/valid.csv",
        "summary.json",
        "report.html",
    ],
)
def test_a_run_leaves_the_file(run, file):
    assert (run / file).stat().st_size > 0


@pytest.mark.long
def test_a_command_that_continues_a_run_changes_no_settings_in_the_table(run, tmp_path, warm_start):
    copied = shutil.copytree(run, tmp_path / "runs" / "again")
    before = read_record(copied, copied)
    done = warm_start.command("train", tmp_path, f"hydra.run.dir={copied}", "ckpt_path=auto")
    assert done.returncode == 0, done.stderr
    assert "is finished already" in done.stdout + done.stderr
    # Hydra has recorded the defaults over it.
    assert OmegaConf.load(copied / ".hydra" / "overrides.yaml") == ["ckpt_path=auto"]
    after = read_record(copied, copied)
    assert (after.choices, after.config) == (before.choices, before.config)
    assert before.choices["schedule"] == "quick"


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("plan.csv", ["step", "epoch", "batch", "phase", "cycle", "size", *GROUPS]),
        ("lr_find/head.csv", ["lr", "loss", "smoothed"]),
        ("predictions/valid.csv", ["id", "path", "label", "prediction", *CLASSES]),
        ("split.csv", ["id", "path", "label", "split"]),
    ],
)
def test_a_file_has_the_columns_of_the_contract(run, file, columns):
    assert list(pd.read_csv(run / file).columns) == columns


def test_the_metrics_begin_and_hold_the_columns_of_the_contract(run):
    columns = list(pd.read_csv(run / "metrics.csv").columns)
    assert columns[:6] == ["epoch", "phase", "size", *GROUPS]
    assert {"train/loss", "val/loss", "val/acc", "val/acc_tta", "seconds"} <= set(columns)


def test_the_metrics_have_a_row_per_epoch(run, summary):
    assert list(pd.read_csv(run / "metrics.csv")["epoch"]) == list(range(summary["epochs"]))


def test_the_plan_has_a_row_per_step(run):
    assert list(pd.read_csv(run / "plan.csv")["step"]) == list(range(6))


def test_the_plan_is_completed_by_the_rate_that_was_found(run):
    found = json.loads((run / "lr_find" / "head.json").read_text())
    first = pd.read_csv(run / "plan.csv").iloc[0]
    assert first["lr/head"] == pytest.approx(found["suggestion"] or 1e-3)


def test_a_search_says_its_suggestion_method_and_reason(run):
    assert set(json.loads((run / "lr_find" / "head.json").read_text())) == {"suggestion", "method", "reason"}


def test_the_saved_config_is_resolved(run):
    assert "${" not in (run / "config.yaml").read_text()


def test_the_overrides_are_kept_as_typed(run, tiny):
    assert set(tiny) <= set(OmegaConf.load(run / ".hydra" / "overrides.yaml"))


def test_what_the_terminal_shows_is_in_the_log(trained, run):
    _, out, err = trained
    assert [line for line in (run / "train.log").read_text().splitlines() if line not in out + err] == []


def test_the_report_needs_no_network(run):
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "<html" in report
    assert not re.findall(r"(?:src|href)=[\"']https?:", report)


@pytest.fixture(scope="module")
def predicted(run, dataset, tmp_path_factory, warm_start) -> pd.DataFrame:
    """Return what a separate process predicts of a folder called `new`."""
    folder = tmp_path_factory.mktemp("pictures") / "new"
    shutil.copytree(dataset / "valid", folder)
    done = warm_start.command("predict", folder, f"run={run}", f"data={folder}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(run / "predictions" / "new.csv")
    return pd.read_csv(run / "predictions" / "new.csv", keep_default_na=False)


def test_predictions_have_a_row_per_picture(predicted):
    assert len(predicted) == 12


def test_predictions_have_the_classes_of_the_run_for_columns(predicted, summary):
    assert list(predicted.columns) == ["id", "path", "label", "prediction", *summary["classes"]]


def test_probabilities_sum_to_one(predicted):
    assert predicted[CLASSES].sum(axis=1).to_numpy() == pytest.approx(np.ones(12), abs=1e-6)


def test_pictures_to_predict_have_no_label(predicted):
    assert set(predicted["label"]) == {""}


def test_predicting_again_gives_the_same(run, predicted, command, here):
    folder = Path(predicted["path"][0]).parents[1]
    outcome = command("predict", f"run={run}", f"data={folder}", f"output={here}/again.csv")
    assert outcome.code == 0, outcome.err
    assert (here / "again.csv").read_bytes() == (run / "predictions" / "new.csv").read_bytes()


def test_the_command_predicts_by_the_model_that_made_the_runs_own_predictions(run, dataset, command, here):
    outcome = command("predict", f"run={run}", f"data={dataset}/valid", f"output={here}/again.csv")
    assert outcome.code == 0, outcome.err
    again, first = pd.read_csv(here / "again.csv"), pd.read_csv(run / "predictions" / "valid.csv")
    assert list(again["path"]) == list(first["path"])
    assert again[CLASSES].to_numpy() == pytest.approx(first[CLASSES].to_numpy(), abs=1e-6)


def test_augmented_views_change_the_probabilities(run, predicted, command, here):
    folder = Path(predicted["path"][0]).parents[1]
    command("predict", f"run={run}", f"data={folder}", "num_augmented=2", f"output={here}/views.csv")
    views = pd.read_csv(here / "views.csv")
    assert views[CLASSES].sum(axis=1).to_numpy() == pytest.approx(np.ones(12), abs=1e-6)
    assert not np.allclose(views[CLASSES], predicted[CLASSES])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["run=nowhere", "data={data}"], "run=nowhere: no finished run is there"),
        (["run={run}", "data=nowhere"], "data=nowhere: there is no such file or folder"),
        (["run={run}", "data={data}", "weights=last"], "weights=last: "),
        (["run={run}", "data={data}", "wieghts=last"], "did you mean weights?"),
        (["run={run}"], "give data=..."),
    ],
)
def test_a_mistake_in_what_is_to_be_predicted_is_one_sentence(arguments, named, run, dataset, command, here):
    places = {"run": run, "data": dataset / "valid"}
    outcome = command("predict", *(argument.format(**places) for argument in arguments))
    assert outcome.code == 1
    assert len(outcome.mistakes) == 1
    assert named in outcome.mistakes[0]


def test_predicting_a_folder_called_valid_leaves_the_runs_own_predictions(run, dataset, command, here):
    shutil.copytree(run, here / "copy")
    command("predict", f"run={here}/copy", f"data={dataset}/valid")
    before, after = (folder / "predictions" / "valid.csv" for folder in (run, here / "copy"))
    assert after.read_bytes() == before.read_bytes()


@pytest.mark.parametrize("argument", ["on_error=skp", "num_augmented=-1"])
def test_a_value_out_of_range_is_not_taken_for_another(argument, run, dataset, command, here):
    outcome = command("predict", f"run={run}", f"data={dataset}/valid", f"output={here}/x.csv", argument)
    assert outcome.code == 1


@pytest.fixture
def planned(tiny, command, here):
    outcome = command(
        "plan", *tiny, "schedule.phases.finetune.cycle_mult=2", "schedule.phases.finetune.n_cycles=2"
    )
    assert outcome.code == 0, outcome.err
    return outcome


def test_the_plan_is_a_table_of_the_phases(planned):
    rows = [line.split()[:5] for line in planned.out.splitlines() if line.strip()[:4] in ("head", "fine")]
    assert rows == [["head", "1", "1", "3", "32"], ["finetune", "3", "1+2", "9", "32"]]


def test_the_plan_says_how_long_the_run_is(planned):
    assert "4 epochs, 12 steps" in planned.out


def test_the_plan_names_the_layer_groups_and_counts_their_parameters(planned):
    groups = re.search(r"layer groups: body0 (\S+) M, body1 (\S+) M, head (\S+) M", planned.out)
    # 372,688 of the body, and 96 features times 3 classes with their biases.
    assert sum(map(float, groups.groups())) == pytest.approx(0.372688 + 0.000291, rel=1e-2)


def test_the_plan_says_what_a_run_would_train_on(planned):
    table, line = planned.out.split("layer groups:")
    assert "trains on" not in table
    said = f"trains on cpu ({processor_name()}), 32-true, deterministic, no data workers"
    assert line.splitlines()[-2] == said


def test_the_plan_estimates_how_long_the_run_takes_on_this_machine(planned):
    assert re.search(r"^takes about \d+ (s|min) on this machine", planned.out, re.MULTILINE)


def test_a_run_is_planned_where_it_cannot_train(tiny, command, here, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    outcome = command("plan", *tiny, "trainer.accelerator=gpu")
    assert outcome.code == 0
    assert "does not train on this machine: trainer.accelerator=gpu: torch finds none here" in outcome.out


def test_the_plan_is_a_file_with_a_row_per_step(planned):
    picture = Path(planned.out.splitlines()[-1])
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert len(pd.read_csv(picture.with_name("plan.csv"))) == 12


def test_the_plan_trains_nothing(planned, here):
    assert not list(here.rglob("*.ckpt"))
    source = Path(imageclf.commands.plan.__file__).read_text(encoding="utf-8")
    named = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    named |= {
        name.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert "build_parts" in named
    assert not named & {"Trainer", "build_trainer", "build_callbacks", "run"}


def test_a_search_alone_writes_its_curve_and_prints_its_suggestion(tiny, command, here):
    outcome = command("lr_find", *tiny, "phase=finetune", "callbacks.lr_finder.num_steps=8")
    assert outcome.code == 0, outcome.err
    *said, picture = outcome.out.splitlines()
    found = json.loads(Path(picture).with_suffix(".json").read_text())
    assert len(pd.read_csv(Path(picture).with_suffix(".csv"))) <= 8
    assert Path(picture).is_file()
    shown = suggestion_lines("finetune", Suggestion(found["suggestion"], found["reason"]))
    assert said[-len(shown) :] == shown


def test_a_search_alone_trains_nothing(tiny, command, here):
    command("lr_find", *tiny, "callbacks.lr_finder.num_steps=4")
    assert list(here.rglob("lr_find/head.json"))
    assert not [*here.rglob("*.ckpt"), *here.rglob("metrics.csv"), *here.rglob("summary.json")]


@pytest.fixture
def spoilt(dataset, here):
    """Return data sets with one thing wrong each."""
    for name in ("empty", "broken"):
        shutil.copytree(dataset, here / name)
    (here / "empty" / "train" / "yellow").mkdir()
    (here / "broken" / "train" / "red" / "5.png").write_bytes(b"no picture")
    (here / "table").mkdir()
    shutil.copytree(dataset / "train", here / "table" / "train")
    (here / "table" / "labels.csv").write_text("id,label\nblue/0,blue\nblue/99,blue\nred/0,red\n")
    return here


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["seeed=1"], "seeed: there is no such key; did you mean seed?"),
        (["+seeed=1"], "seeed: there is no such key; did you mean seed?"),
        (["data.sise=1"], "data.sise: there is no such key; did you mean data.size?"),
        (["schedule.phases.head.cyle_len=1"], "did you mean schedule.phases.head.cycle_len?"),
        (
            ["schedule.phases.heat.cycle_len=1"],
            "schedule.phases.heat: there is no such key; did you mean schedule.phases.head?",
        ),
        (["+trainer.precison=32"], "trainer.precison: there is no such key; did you mean trainer.precision?"),
        (["trainer.precison=32"], "trainer.precison: there is no such key; did you mean trainer.precision?"),
        (["trainer.max_epochs=3"], "trainer.max_epochs=3: epochs follow from schedule.phases.NAME.n_cycles"),
        (["trainer.strategy=fsdp"], "trainer.strategy=fsdp: give ddp or auto"),
        (["seed=first"], "seed=first: give a whole number"),
        (["data.size=large"], "data.size=large: give a whole number"),
        (["~callbacks.warm_restarts"], "~callbacks.warm_restarts: it is what the schedule means"),
        (["~model.backbone"], "model.backbone is missing"),
        (["ckpt_path=auto"], "ckpt_path=auto needs hydra.run.dir=PATH"),
        (["ckpt_path=nowhere.ckpt"], "ckpt_path=nowhere.ckpt: there is no such file"),
        (["data.root=nowhere"], "data.root='nowhere' is not a folder"),
        (["data.root=empty"], "'train/yellow'; fill or remove them"),
        (["data.root=broken"], "broken/train/red/5.png"),
        (["data.train=trian"], "data.train='trian' is not a folder"),
        (["hydra.run.dir=/proc/run"], "/proc/run"),
        (["model=null"], "Config group override must be a string or a list"),
    ],
)
@pytest.mark.sampled(3)
def test_a_mistake_is_one_sentence_that_names_it(arguments, named, tiny, command, spoilt):
    outcome = command("train", *tiny, *arguments)
    assert outcome.code == 1
    assert len(outcome.mistakes) == 1
    assert named in outcome.mistakes[0]
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("argument", ["seed=-1", "optimized_metric=val/accc", "callbacks.snapshots.last=0"])
def test_a_value_that_cannot_be_right_is_refused_before_training(argument, tiny, command, here):
    assert command("train", *tiny, "~callbacks.report", "~callbacks.tta", argument).code == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["data.root=table", "data.suffix=.png"], "1 of 3 files is missing, in row 3: 'blue/99.png'"),
        (["data.root=table", "data.csv=other.csv"], "other.csv"),
        (["data.root=table", "data.label_column=breed"], "data.label_column='breed' names no column"),
        ([], "data.root is missing: give data.root=..."),
    ],
)
def test_a_mistake_in_a_csv_is_one_sentence_that_names_it(arguments, named, command, spoilt):
    outcome = command("train", "data=csv", "model.weights=none", *arguments)
    assert outcome.code == 1
    assert len(outcome.mistakes) == 1
    assert named in outcome.mistakes[0]
    assert "Traceback" not in outcome.err


@pytest.fixture(scope="module")
def mistaken(tmp_path_factory, warm_start):
    """Return what a separate process leaves of a mistake: (exit code, stdout, stderr)."""
    done = warm_start.command("train", tmp_path_factory.mktemp("cwd"), "data=folder")
    return done.returncode, done.stdout, done.stderr


@pytest.mark.long
def test_a_process_exits_with_1_after_a_mistake(mistaken):
    assert mistaken[0] == 1


@pytest.mark.long
def test_a_process_says_a_mistake_in_one_sentence(mistaken):
    _, out, err = mistaken
    said = [line for line in err.splitlines() if line.startswith("imageclf: ")]
    assert said == ["imageclf: data.root is missing: give data.root=..."]
    assert "Traceback" not in out + err


@pytest.mark.parametrize("before", [(), IN_THE_BACKGROUND], ids=["as it is", "in the background"])
@pytest.mark.sampled(2)
def test_ctrl_c_saves_and_ends_a_run_with_130_and_the_command_that_goes_on(tiny, tmp_path, before):
    long = ["schedule.phases.finetune.cycle_len=500", "~callbacks.tta"]
    process = start(tmp_path, *tiny, *long, before=before)
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(r"epoch +2 ", line):
            process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    saving, ended = (line for line in err.splitlines() if line.startswith("imageclf: "))
    assert saving == "imageclf: saving at the next safe point; press Ctrl-C again to end at once"
    start_of_end, command = ended.split(": ", 2)[1:]
    assert start_of_end == "ended by Ctrl-C; go on with"
    train, run_dir, auto = shlex.split(command)
    assert (train, auto) == ("imageclf-train", "ckpt_path=auto")
    checkpoint = Path(run_dir.removeprefix("hydra.run.dir=")) / "checkpoints/last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["position"] > [2, 0]
    assert "Traceback" not in err


def test_a_tree_of_runs_is_collected(run, trained, command, here):
    outcome = command("collect", f"root={trained[0]}/runs", f"out={here}")
    assert outcome.code == 0, outcome.err
    assert run.name in outcome.out
    assert outcome.out.splitlines()[-1] == f"{here}/collect.html"
    table = pd.read_csv(here / "collect.csv")
    assert table[["run", "status"]].to_numpy().tolist() == [[f"train/{run.name}", "finished"]]


def test_a_run_is_exported(run, command, here):
    outcome = command("export", f"run={run}", "format=timm", f"output={here}/out", "weights=final")
    assert outcome.code == 0, outcome.err
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "README.md", "config.json", "model.safetensors", "prepare.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("main", "arguments", "named"),
    [
        ("collect", ["root=nowhere"], "root=nowhere: there is no such folder"),
        ("collect", ["root={run}", "sort=val/accc"], "sort=val/accc: there is no such column"),
        ("collect", ["root={run}", "sorted=run"], "did you mean sort?"),
        ("export", ["run={run}"], "give format=..."),
        ("export", ["run={run}", "format=jax"], "format=jax: give timm, onnx or web"),
        ("train", ["tags=a"], "tags=a: give"),
        ("train", ["extras.print_confg=true"], "did you mean extras.print_config?"),
        ("train", ["extras.enforce_tags=true"], "extras.enforce_tags asks for some"),
        ("train", ["debug=fast"], "debug=fast: there is no such option; give one of "),
    ],
)
@pytest.mark.sampled(2)
def test_a_mistake_in_the_further_commands_is_one_sentence(main, arguments, named, run, tiny, command, here):
    words = [each.format(run=run) for each in arguments]
    outcome = command(main, *(tiny if main == "train" else ()), *words)
    assert outcome.code == 1
    assert len(outcome.mistakes) == 1
    assert named in outcome.mistakes[0]


@pytest.mark.parametrize("main", ["train", "plan", "lr_find", "batch_size", "predict", "collect", "export"])
def test_help_is_printed(main, command):
    outcome = command(main, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"imageclf-{main.replace('_', '-')}: ")
    assert "\nExamples\n" in outcome.out


def test_a_phase_of_the_users_own_config_folder_is_planned(tiny, command, here):
    (here / "mine" / "schedule").mkdir(parents=True)
    phases = "phases:\n  warm:\n    lr: 1e-3\n  rest:\n    n_cycles: 2\n    lr: 1e-4\n    unfreeze_to: 0\n"
    (here / "mine" / "schedule" / "own.yaml").write_text(phases)
    rest = [each for each in tiny if not each.startswith("schedule")]
    outcome = command("plan", f"--config-dir={here}/mine", *rest, "schedule=own")
    assert outcome.code == 0, outcome.err
    rows = pd.read_csv(Path(outcome.out.splitlines()[-1]).with_name("plan.csv"))
    assert list(rows["phase"]) == ["warm"] * 3 + ["rest"] * 6


def test_a_sweep_goes_on_after_a_mistake_and_exits_with_its_code(tiny, command, here):
    outcome = command("train", "-m", *tiny, "hydra.sweep.dir=sweep", "model.groups=40,3", "~callbacks.report")
    assert outcome.code == 1
    assert len(outcome.mistakes) == 1
    assert [path.parent.name for path in here.glob("sweep/*/summary.json")] == ["1"]


@pytest.mark.long
def test_a_sweep_over_two_keys_makes_four_runs_beside_its_list(tiny, tmp_path, warm_start):
    swept = ("seed=1,2", "schedule.phases.finetune.cycle_mult=1,2")
    done = warm_start.command("train", tmp_path, "-m", *tiny, *swept)
    assert done.returncode == 0, done.stderr
    (sweep,) = (tmp_path / "runs" / "train").iterdir()
    assert sorted(path.name for path in sweep.iterdir()) == ["0", "1", "2", "3", "multirun.yaml"]
    assert sorted(path.parent.name for path in sweep.glob("*/summary.json")) == ["0", "1", "2", "3"]
    seeds = [OmegaConf.load(sweep / str(job) / "config.yaml").seed for job in range(4)]
    assert seeds == [1, 1, 2, 2]


@pytest.mark.parametrize("name", ["train", "plan", "lr_find", "predict"])
def test_a_secret_is_neither_printed_nor_written_down(name, tiny, command, here):
    given = tiny if name != "predict" else ["run=x", "data=y"]
    outcome = command(name, *given, "+extras_of_mine={private_key: hush}")
    assert outcome.code == 1
    assert "extras_of_mine.private_key looks like a secret" in outcome.err
    assert "hush" not in outcome.out + outcome.err
    assert not [path for path in here.rglob("*") if path.is_file() and "hush" in path.read_text()]


def test_a_mistake_is_all_that_a_command_prints(tiny, command, here):
    (line,) = command("train", *tiny, "data.valid_pct=5").err.splitlines()
    assert line.startswith("imageclf: data.valid_pct=5: give a number from 0 to below 1")
