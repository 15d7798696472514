"""Secrets are recognised by names and addresses, and hidden in whatever is printed."""

import doctest

import pytest

from imageclf.system import secrets
from imageclf.system.secrets import has_password, hidden, is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "WANDB_API_KEY",
        "apiKey",
        "wandb_apikey",
        "access_key",
        "AWS_SECRET_ACCESS_KEY",
        "key",
        "auth",
        "authToken",
        "HF_TOKEN",
        "credentials",
        "pwd",
        "db-password",
        "bearer",
        "private_key",
        "passphrase",
    ],
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["tokenizer", "num_tokens", "keys", "sort_key", "monkey", "author", "authors", "secretary", "", "lr"],
)
def test_names_that_only_look_alike(name):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value",
    [
        "https://me:hush@host/path",
        "postgresql://me:hush@host:5432/db",
        "see http://:hush@host",
        "https://host/path?token=hush",
        "https://host/?a=1&api_key=hush",
    ],
)
def test_addresses_with_a_password(value):
    assert has_password(value)
    assert "hush" not in hidden(f"cannot reach {value} today", [])


@pytest.mark.parametrize(
    "value",
    [
        "https://host/path",
        "https://me@host",
        "me:you@host",
        "https://host/?page=2",
        "a?token=b",
        "/data/a:b@c/x",
        "https://me:${oc.env:TOKEN}@host",
        "https://host/?token=${oc.env:TOKEN}",
    ],
)
def test_addresses_without_one(value):
    assert not has_password(value)


@pytest.mark.parametrize(
    "argument",
    ["+logger.x.api_key=hush", "++a.token='hush'", "logger={x: {password: hush}}", "tags=[1,{pwd: hush}]"],
)
@pytest.mark.fault(
    "Configs and secrets", "A message would repeat a secret of the command line", "It has `***` in its place"
)
def test_a_secret_of_the_command_line_is_hidden_wherever_it_is_printed(argument):
    assert hidden("hush is no number: hush", ["-m", argument]) == "*** is no number: ***"


def test_what_reads_the_environment_is_shown_as_written():
    assert hidden("${oc.env:KEY}", ["api_key=${oc.env:KEY}"]) == "${oc.env:KEY}"


@pytest.mark.parametrize("value", ["null", "''"])
def test_an_empty_secret_hides_nothing(value):
    assert hidden("api_key is null", [f"api_key={value}"]) == "api_key is null"


def test_the_examples_hold():
    tried = doctest.testmod(secrets)
    assert tried.attempted and not tried.failed
