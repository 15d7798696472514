"""Going on with a run, and the door: what code the saved config may name."""

import sys

import pytest
import yaml
from omegaconf import OmegaConf

from imageclf import InputError, worker
from imageclf.configs import foreign_targets, own_modules
from imageclf.configs.options import ClusterOptions
from imageclf.configs.saved.trust import targets_of
from imageclf.data import Table
from imageclf.launch.slurm.sbatch import script
from imageclf.training.directory import check_directory, prepare

OWN = "+callbacks.own={_target_: own_code.Own}"


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """Put a user's own callback on the path."""
    text = "import lightning as pl\nclass Own(pl.Callback): ...\n"
    (tmp_path / "own_code.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def begun(composed, tiny, own_code, tmp_path):
    """Begin a run with a callback of the user's own."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    prepare(composed(*tiny, OWN), run_dir, [])
    return run_dir


@pytest.fixture
def go_on(composed, tiny, begun):
    """Return a function that goes on with the run by a command line."""
    return lambda *typed: check_directory(
        composed(*tiny, "ckpt_path=auto", f"hydra.run.dir={begun}", *typed), begun, []
    )


def change(run_dir, key, value):
    config = OmegaConf.create(yaml.safe_load((run_dir / "config.yaml").read_text()))
    OmegaConf.update(config, key, value, force_add=True)
    (run_dir / "config.yaml").write_text(OmegaConf.to_yaml(config))


def test_what_the_command_line_names_itself_goes_on(go_on):
    go_on(OWN)


@pytest.mark.fault(
    "Files of strangers",
    "A run that goes on names code that the command line does not",
    "It is refused, with the way to allow it",
)
def test_what_it_does_not_name_is_refused_with_the_way_to_allow_it(go_on):
    with pytest.raises(InputError, match=r"callbacks\.own\._target_=own_code\.Own .*trust=\[own_code\]"):
        go_on()


@pytest.mark.parametrize(
    "trust", ["trust=[own_code]", "trust=own_code", "trust=[a,own_code.Own]", "trust=all"]
)
@pytest.mark.sampled(2)
def test_what_is_trusted_goes_on(trust, go_on):
    go_on(trust)


@pytest.mark.parametrize(
    "key",
    [
        "model.head", "model.loss", "model.optimizer", "model.mixing", "data", "transforms",
        "transforms.extra",
        "trainer", "trainer.profiler", "metrics.own", "logger.own", "schedule.phases.head", "extras",
    ],
)  # fmt: skip
@pytest.mark.sampled(4)
def test_other_code_is_refused_wherever_it_stands(key, begun, go_on):
    change(begun, f"{key}._target_", "os.system")
    with pytest.raises(InputError, match=r"_target_=os\.system"):
        go_on(OWN)


def test_a_class_of_ours_in_the_place_of_another_kind_is_refused(begun, go_on):
    change(begun, "data._target_", "torch.nn.Linear")
    with pytest.raises(InputError, match=r"torch\.nn\.Linear"):
        go_on(OWN)


@pytest.mark.fault(
    "Files of strangers", "A run that goes on reads an environment variable of yours", "It is refused"
)
def test_an_environment_variable_that_the_user_has_not_named_is_refused(begun, go_on, monkeypatch):
    monkeypatch.setenv("SECRET", "s3cr3t")
    change(begun, "task_name", "${oc.env:SECRET}")
    with pytest.raises(InputError, match="environment variable") as error:
        go_on(OWN)
    assert "s3cr3t" not in str(error.value)


def test_one_that_the_user_names_himself_goes_on(begun, go_on, monkeypatch):
    monkeypatch.setenv("NAME", "mine")
    change(begun, "task_name", "${oc.env:NAME}")
    go_on(OWN, "task_name='${oc.env:NAME}'")


def test_a_value_of_another_type_is_refused(begun, go_on):
    change(begun, "seed", "many")
    with pytest.raises(InputError, match=r"config\.yaml: seed=many"):
        go_on(OWN)


@pytest.mark.parametrize("arguments", [[], ["trust=other"], ["trust="]])
def test_the_door_builds_no_code_of_others(arguments, begun, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["worker", str(begun), *arguments])
    with pytest.raises(InputError, match=r"own_code\.Own"):
        worker.job()


def test_the_script_for_a_cluster_tells_the_door_what_its_runs_name(begun):
    trusted = foreign_targets(yaml.safe_load((begun / "config.yaml").read_text()))
    options = ClusterOptions(1, 1, None, None, None, 1, 1, 1, None, None, 1, [], [], True, True)
    assert '"$imageclf_run" trust=own_code.Own\n' in script("a", begun, [begun], options, trusted)
    worker.check_code(begun, trusted)


def test_only_the_code_of_the_network_has_to_be_trusted_to_predict(composed):
    own = ["model.head={_target_: mine.heads.Head}", "model.loss={_target_: other.Loss}"]
    assert own_modules(OmegaConf.to_container(composed(*own), resolve=False)) == ["mine.heads"]
    assert own_modules(OmegaConf.to_container(composed(), resolve=False)) == []


@pytest.mark.parametrize("model", [None, "text", ["a", "list"], 7])
def test_a_config_without_a_model_names_no_module(model):
    assert own_modules({"model": model}) == own_modules({}) == []


@pytest.mark.parametrize(
    "overrides",
    [
        [], ["transforms=rand_augment"], ["model/optimizer=lamb"], ["model/optimizer=sgd"],
        ["model/loss=focal"], ["model/loss=bce"], ["metrics=all"], ["logger=many"], ["logger=mlflow"],
        ["debug=profile"], ["data=csv"], ["trainer=ddp"],
    ],
)  # fmt: skip
@pytest.mark.sampled(4)
def test_all_that_our_configs_name_may_be_built(overrides, composed):
    config = OmegaConf.to_container(composed(*overrides), resolve=False)
    assert len(targets_of(config)) > 10
    assert foreign_targets(config) == []


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"id,path,label\n1,2,3\n", b"id,path,label,split\n1,a,b,c,d,e\n1,2,3\n",
        b"id,path,label,split\na,b,c,__import__\n", b'id,path,label,split\n"a', b"\0" * 1000,
    ],
)  # fmt: skip
def test_a_split_that_no_training_has_written_is_one_sentence(content, tmp_path):
    (tmp_path / "split.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"split\.csv"):
        Table.load(tmp_path / "split.csv")
