"""Where the configs are, and how run directories are named."""

import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.configs import CONF_DIR, paths

ID = re.compile(r"(\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d)-([0-9a-f]{4})")


@pytest.fixture
def new_id():
    def make() -> str:
        paths.run_id.cache_clear()
        return paths.run_id()

    return make


def test_the_configs_are_those_of_the_clone():
    assert Path(CONF_DIR) == Path(__file__).parents[2] / "conf"
    assert (Path(CONF_DIR) / "train.yaml").is_file()


def test_an_id_is_the_second_and_four_hex_digits(new_id):
    assert ID.fullmatch(new_id())


def test_an_id_tells_the_time(new_id):
    second = datetime.strptime(ID.fullmatch(new_id())[1], "%Y-%m-%d_%H-%M-%S")
    assert timedelta() <= datetime.now() - second < timedelta(seconds=5)


def test_ids_of_one_second_differ(new_id):
    # Of 65,536 endings 20 are all different 997 times in 1,000; two equal ones would be bad luck.
    assert len({new_id() for _ in range(20)}) >= 19


def test_a_process_has_one_id(new_id):
    assert new_id() == paths.run_id()


def test_two_processes_have_two_ids():
    code = "from imageclf.configs.paths import run_id; print(run_id())"
    ids = {subprocess.check_output([sys.executable, "-c", code], text=True).strip() for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("experiment", "name"),
    [(None, "train"), ("", "train"), ("null", "train"), ("dog_breeds", "dog_breeds")],
)
def test_a_run_is_filed_under_its_experiment_or_under_train(experiment, name):
    assert paths.run_name(experiment) == name


@pytest.mark.parametrize("kind", ["run", "sweep"])
@pytest.mark.parametrize(
    ("overrides", "folder"),
    [
        ([], "runs/train"),
        (["experiment=dog_breeds", "data.root=x"], "runs/dog_breeds"),
        (["experiment=dogs_vs_cats_resnext50", "data.root=x"], "runs/dogs_vs_cats_resnext50"),
    ],
)
def test_runs_and_sweeps_lie_in_the_same_place(kind, overrides, folder, composed):
    composed(*overrides)
    directory = Path(HydraConfig.get()[kind].dir)
    assert directory.parent == Path(folder)
    assert ID.fullmatch(directory.name)


def test_a_sweeps_directory_is_known_before_its_first_job(composed):
    # Hydra asks for it before HydraConfig is set, where ${hydra:...} does not work.
    composed()
    node = OmegaConf.to_container(HydraConfig.get(), resolve=False)
    hydra = OmegaConf.create({"hydra": node, "task_name": None})
    HydraConfig.instance().cfg = None
    assert Path(hydra.hydra.sweep.dir).parent == Path("runs/train")


def test_a_job_of_a_sweep_has_its_number_for_a_name(composed):
    composed()
    assert HydraConfig.get().sweep.subdir == "0"


def test_a_file_of_the_clone_is_found():
    assert Path(paths.in_clone("data/stamps")) == Path(__file__).parents[2] / "data" / "stamps"


def test_a_file_that_a_wheel_does_not_carry_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "_CLONE", tmp_path)
    with pytest.raises(InputError, match=r"give your own with data=FOLDER or data=FILE"):
        paths.in_clone("data/stamps")


@pytest.mark.parametrize(
    ("size", "factor", "expected"),
    [(128, 1.25, 160), (224, 1.25, 288), (224, 1.0, 224), (32, 1.25, 32), (16, 1.25, 32), (256, 1.5, 384)],
)
def test_an_enlarged_size_is_a_multiple_of_32(size, factor, expected):
    assert paths.enlarged(size, factor) == expected
