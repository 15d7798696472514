"""Composed configs as plain values, and as the config.yaml of a run."""

import pytest
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.configs import load_config, save_config, to_plain

READS_ENVIRONMENT = "${oc.env:IMAGECLF_TEST_KEY}"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("IMAGECLF_TEST_KEY", "hush")


def saved(values, tmp_path):
    path = tmp_path / "config.yaml"
    save_config(OmegaConf.create(values), path)
    return path


def test_interpolations_are_resolved():
    cfg = OmegaConf.create({"a": 3, "b": {"c": "${a}", "d": ["${a}", "x${a}"]}})
    assert to_plain(cfg) == {"a": 3, "b": {"c": 3, "d": [3, "x3"]}}


@pytest.mark.parametrize(
    ("values", "key"),
    [({"root": "???"}, "root"), ({"data": {"size": 3, "root": "???"}}, "data.root")],
)
def test_a_missing_value_is_asked_for_by_its_key(values, key):
    with pytest.raises(InputError) as refused:
        to_plain(OmegaConf.create(values))
    assert str(refused.value) == f"{key} is missing: give {key}=..."


def test_a_saved_config_is_resolved(tmp_path):
    path = saved({"a": 3, "b": "${a}"}, tmp_path)
    assert OmegaConf.to_container(OmegaConf.load(path), resolve=False) == {"a": 3, "b": 3}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"logger": {"wandb": {"api_key": READS_ENVIRONMENT}}}, "logger.wandb.api_key"),
        ({"data": {"root": f"{READS_ENVIRONMENT}/pictures"}}, "data.root"),
        ({"tags": [READS_ENVIRONMENT]}, "tags[0]"),
        ({"loggers": [{"token": READS_ENVIRONMENT}]}, "loggers[0].token"),
    ],
)
@pytest.mark.fault(
    "Configs and secrets",
    "A value comes from an environment variable",
    "The variable's name is saved, not its value",
)
def test_what_comes_from_the_environment_stays_as_written(values, key, tmp_path):
    path = saved(values, tmp_path)
    raw = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert raw == values
    assert "hush" not in path.read_text()
    assert "hush" in OmegaConf.select(OmegaConf.load(path), key)


def test_a_loaded_config_reads_the_environment_of_now(tmp_path, monkeypatch):
    path = saved({"key": READS_ENVIRONMENT}, tmp_path)
    monkeypatch.setenv("IMAGECLF_TEST_KEY", "changed")
    assert load_config(path) == {"key": "changed"}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"logger": {"wandb": {"api_key": "abc"}}}, "logger.wandb.api_key"),
        ({"wandb_apikey": "abc"}, "wandb_apikey"),
        ({"hub": {"ACCESS_TOKEN": "abc"}}, "hub.ACCESS_TOKEN"),
        ({"password": "abc"}, "password"),
        ({"client_secret": "abc"}, "client_secret"),
        ({"loggers": [{"passwd": "abc"}]}, "loggers.passwd"),
        ({"plain": "abc", "api_key": "${plain}"}, "api_key"),
        ({"private_key": "abc"}, "private_key"),
        ({"store": {"credentials": {"user": "abc"}}}, "store.credentials.user"),
    ],
)
@pytest.mark.fault(
    "Configs and secrets", "A config holds a secret", "It is refused before anything is written"
)
def test_a_secret_is_not_written_down(values, key, tmp_path):
    with pytest.raises(InputError) as refused:
        saved(values, tmp_path)
    assert str(refused.value).startswith(f"{key} looks like a secret")
    assert f"{key}='${{oc.env:NAME}}'" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(
    "Configs and secrets",
    "A config holds an address with a password",
    "It is refused before anything is written",
)
def test_an_address_with_a_password_is_not_written_down(tmp_path):
    with pytest.raises(InputError, match=r"logger\.tracking_uri is an address with a password") as refused:
        saved({"logger": {"tracking_uri": "https://me:hush@host"}}, tmp_path)
    assert "hush" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values", [{"tags": ["a", "${oc.env:MY_TOKEN}"]}, {"task_name": "${oc.env:MY_TOKEN}"}]
)
def test_a_label_that_would_show_a_secret_of_the_environment_is_refused(values, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "hush")
    with pytest.raises(InputError, match="reads MY_TOKEN"):
        saved(values, tmp_path)


def test_a_label_may_read_what_is_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("USER", "ada")
    assert load_config(saved({"tags": ["${oc.env:USER}"]}, tmp_path)) == {"tags": ["ada"]}


@pytest.mark.parametrize(
    "values",
    [
        {"api_key": None},
        {"num_tokens": 5},
        {"keys": "abc"},
        {"secret": {"a": 1}},
        {"token": {"_target_": "a.B"}},
        {"tokenizer": "words"},
    ],
)
def test_what_is_no_secret_is_written_down(values, tmp_path):
    assert load_config(saved(values, tmp_path)) == values


def test_saving_leaves_nothing_but_the_config(tmp_path):
    saved({"a": 1}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_a_file_that_holds_no_mapping_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_text("- a\n- b\n")
    with pytest.raises(InputError, match="is not a mapping"):
        load_config(tmp_path / "config.yaml")


@pytest.mark.parametrize("overrides", [[], ["schedule=onecycle"], ["trainer=ddp", "seed=3"]])
def test_a_composed_config_comes_back_from_its_file(overrides, composed, tiny, tmp_path):
    cfg = composed(*tiny, *overrides)
    save_config(cfg, tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == to_plain(cfg)


@pytest.mark.fault("Going on", "A run of an earlier version goes on", "It reads its pictures as it did")
def test_a_run_of_an_earlier_version_reads_its_pictures_as_it_did(tmp_path):
    (tmp_path / "config.yaml").write_text("data:\n  size: 64\n")
    assert load_config(tmp_path / "config.yaml")["data"] == {"device_store": "off", "size": 64}
