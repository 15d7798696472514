"""Training and analysing from Python: the same runs as the commands', in a process that stays as it was."""

import json
import logging
import os
import random
import shutil
import signal
import sys
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

import imageclf
from imageclf import InputError, api
from imageclf.configs import CONF_DIR

FAST = ["~callbacks.report", "callbacks.tta.num_augmented=1"]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def without_times(run_dir: Path) -> str:
    rows = pd.read_csv(run_dir / "metrics.csv")
    return rows.drop(columns=[name for name in rows if "seconds" in name]).to_csv()


def state_of_the_process() -> dict[str, object]:
    root = logging.getLogger()
    return {
        "hydra": GlobalHydra.instance().hydra,
        "hydra config": HydraConfig.instance().cfg,
        "handlers": root.handlers[:],
        "level": root.level,
        "lightning": logging.getLogger("lightning.pytorch").level,
        "records": logging.getLogRecordFactory(),
        "warnings": warnings.filters[:],
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "folder": Path.cwd(),
        "variables": dict(os.environ),
        "streams": (sys.stdout, sys.stderr),
        "exact": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "draws": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),
    }


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """Return a run that was trained in a new folder, and the states of the process before and after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("trained"))
        before = state_of_the_process()
        run = imageclf.train(*tiny, *FAST)
        return run, before, state_of_the_process(), Path.cwd()


def test_a_run_from_python_lies_below_runs_and_is_finished(trained):
    run, _, _, folder = trained
    assert run.dir.parent == folder / "runs/train"
    assert run.classes == ("blue", "green", "red")
    assert (run.dir / "train.log").read_text().count("the run is done") == 1


@pytest.mark.parametrize("name", sorted(state_of_the_process()))
def test_the_process_is_as_it_was(trained, name):
    _, before, after, _ = trained
    assert after[name] == before[name]


def test_a_second_training_in_the_same_process_is_the_same_run_elsewhere(trained, tiny, here):
    again = imageclf.train(*tiny, *FAST)
    assert again.dir.parent == here / "runs/train"
    assert without_times(again.dir) == without_times(trained[0].dir)


def test_the_command_trains_the_same(trained, tiny, here, command):
    done = command("train", *tiny, *FAST, "hydra.run.dir=commanded")
    assert done.code == 0, done.err
    assert without_times(here / "commanded") == without_times(trained[0].dir)


def test_values_of_python_are_those_of_the_config(trained, tiny, here):
    """A folder by its path, a model by timm's name, a dotted key with its value, and a run directory."""
    pictures = OmegaConf.load(trained[0].dir / "config.yaml").data.root
    shutil.copytree(pictures, here / "my photos, new")
    keys = {"data.size": 32, "data.num_workers": 0, "schedule.phases.finetune.lr": [1e-4, 1e-3, 1e-2]}
    keys["schedule.phases.finetune.lr_ratio"] = 1.0
    sizes = {f"schedule.phases.{phase}.size": 32 for phase in ("head", "finetune")}
    run = imageclf.train(
        keys | sizes,
        *FAST,
        "model.weights=none",
        data=Path("my photos, new"),
        model="test_resnet",
        schedule="quick",
        trainer="cpu",
        run_dir=here / "runs, mine",
        seed=3,
        tags=["a,b", "null"],
    )
    config = OmegaConf.load(run.dir / "config.yaml")
    assert run.dir == here / "runs, mine"
    assert (config.data.root, config.model.backbone, config.seed) == ("my photos, new", "test_resnet", 3)
    assert config.tags == ["a,b", "null"]
    assert config.schedule.phases.finetune.lr == [1e-4, 1e-3, 1e-2]


@pytest.mark.parametrize(
    ("overrides", "values", "said"),
    [
        (["data.sise=3"], {}, r"data\.sise: there is no such key; did you mean data\.size\?"),
        ([], {"seed": "many"}, "seed=many: give a whole number"),
        ([], {"data": "nowhere"}, "data=nowhere: there is no such folder or file"),
        ([], {"seed": -1}, "seed=-1: give a number from 0"),
        (["data.size"], {}, "data.size is not KEY=VALUE"),
        (["-m", "seed=1,2"], {}, "-m is a flag of the command line"),
        ([], {"seed": object()}, "seed: a config cannot hold a object"),
    ],
    ids=["key", "type", "folder", "range", "word", "flag", "object"],
)
def test_a_mistake_is_the_sentence_of_the_command(tiny, here, capsys, overrides, values, said):
    before = state_of_the_process()
    with pytest.raises(InputError, match=said):
        imageclf.train(*tiny, *FAST, *overrides, **values)
    assert state_of_the_process() == before
    assert capsys.readouterr().err == ""


def test_a_secret_is_refused_and_not_left_in_the_folder(tiny, here):
    with pytest.raises(InputError, match="looks like a secret"):
        imageclf.train(*tiny, "+logger.mine={api_token: abc}", run_dir="secret")
    assert not list(here.rglob("*.yaml"))


def test_an_application_of_hydra_keeps_its_own_hydra(tiny, here):
    with initialize_config_dir(CONF_DIR, job_name="other", version_base="1.3"):
        own = GlobalHydra.instance().hydra
        with pytest.raises(InputError):
            imageclf.train(*tiny, seed=-1)
        assert GlobalHydra.instance().hydra is own
        assert compose("analyse", overrides=["seed=3"]).seed == 3


def test_messages_go_where_the_program_sends_them(trained, tiny, here, caplog, capsys):
    imageclf.train(*tiny, *FAST)
    assert "the run is done" in caplog.text
    assert capsys.readouterr().out == ""


def test_a_finished_run_is_returned_again(trained):
    run = trained[0]
    again = imageclf.train(run_dir=run.dir, ckpt_path="auto")
    assert again.dir == run.dir
    assert again.summary == run.summary


def test_a_run_directory_that_is_taken_is_refused(trained, tiny):
    with pytest.raises(InputError, match="holds a run already: continue it with ckpt_path=auto"):
        imageclf.train(*tiny, run_dir=trained[0].dir)


def test_ctrl_c_saves_and_is_raised_as_such_and_the_run_goes_on(tiny, here):
    interrupt = "+callbacks.signal={_target_: probes.SendSignal, name: SIGINT, epoch: 1, batch: 1, to: self}"
    with pytest.raises(
        KeyboardInterrupt, match=r"ended by Ctrl-C; go on with: imageclf-train hydra\.run\.dir="
    ):
        imageclf.train(*tiny, *FAST, interrupt, run_dir="mine")
    assert list(here.glob("mine/checkpoints/*.ckpt"))


@pytest.mark.parametrize("name", ["train", "analyse"])
def test_the_function_is_not_replaced_by_the_module_of_its_name(name, monkeypatch):
    """`python -m imageclf.train` and `from imageclf.train import main` go on working."""
    monkeypatch.delitem(sys.modules, f"imageclf.{name}", raising=False)
    module = import_module(f"imageclf.{name}")
    assert callable(module.main)
    assert getattr(imageclf, name) is getattr(api, name)
    assert Path(module.__file__).name == f"{name}.py"


def test_an_analysis_has_the_numbers_of_the_files_and_their_page(dataset, here):
    before = state_of_the_process()
    found = imageclf.analyse(dataset)
    assert state_of_the_process() == before
    for name in ("pictures", "classes", "problems"):
        written = pd.read_csv(found.page.path.with_name(f"{name}.csv"), keep_default_na=False)
        assert written.columns.tolist() == getattr(found, name).columns.tolist()
        assert len(written) == len(getattr(found, name))
    assert found.classes["train"].tolist() == [8, 8, 8]
    assert found.classes["valid"].tolist() == [4, 4, 4]
    assert Path(found.page).parent.parent == here / "runs/analyse"
    assert repr(found).startswith("<Analysis: 3 classes, 24 training pictures, 12 validation pictures, ")
    assert found._repr_html_().startswith("<iframe srcdoc=")


def test_an_analysis_of_nothing_is_refused(here):
    with pytest.raises(InputError, match="data=nowhere: there is no such folder or file"):
        imageclf.analyse("nowhere")


def test_the_summary_is_that_of_the_file(trained):
    run = trained[0]
    assert run.summary == json.loads((run.dir / "summary.json").read_text())


HEAD = """
from torch import nn

class Head(nn.Linear):
    def __init__(self, in_features, num_classes):
        super().__init__(in_features, num_classes)
"""


def test_code_beside_the_program_is_found_and_trusted_by_whoever_names_it(tiny, here, dataset, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    (here / "head_of_a_program.py").write_text(HEAD)
    named = {"model.head._target_": "head_of_a_program.Head"}
    run = imageclf.train(*tiny, *FAST, named, run_dir="own")
    assert len(run.predict(dataset / "valid/red")) == 4
    with pytest.raises(InputError, match=r"give trust=\[head_of_a_program\]"):
        imageclf.load("own")
    again = imageclf.load("own", trust="head_of_a_program")
    assert np.array_equal(
        again.predict(dataset / "valid").probabilities, run.predict(dataset / "valid").probabilities
    )
