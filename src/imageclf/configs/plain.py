"""Convert configs between OmegaConf, plain Python values and config.yaml."""

import re
import shutil
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import OmegaConfDumper
from omegaconf.errors import MissingMandatoryValue

from imageclf import InputError
from imageclf.configs.paths import CONF_DIR
from imageclf.system.files import write_text
from imageclf.system.secrets import has_password, is_secret_name

Plain = dict[str, Any]

# Keys that runs of earlier versions lack, with the behaviour of those versions.
_ADDED_TO_DATA: Plain = {"device_store": "off"}
_FROM_ENVIRONMENT = "${oc.env:"
# Quotes a text that would be read back as a number, as OmegaConf's own does.
_DUMPER: Any = type("Dumper", (getattr(yaml, "CDumper", yaml.Dumper),), {})
_DUMPER.add_representer(str, OmegaConfDumper.str_representer)
_VARIABLE = re.compile(r"\$\{oc\.env:(\w+)")
# Written resolved, into summary.json and the log.
_LABELS = ("tags", "task_name", "experiment")


def to_plain(cfg: DictConfig) -> Plain:
    """Return a config as plain Python values, everything resolved.

    Raises:
        InputError: a value is missing (`???`).
    """
    try:
        plain: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        missing = min(OmegaConf.missing_keys(cfg))
        raise InputError(f"{missing} is missing: give {missing}=...") from error
    return {str(key): value for key, value in plain.items()}


def defaults_of(config_name: str) -> Plain:
    """Return the keys of a command's YAML, and their defaults; of one that has no config groups.

    >>> defaults_of("commands/export")["format"]
    'timm'
    """
    node = OmegaConf.to_container(OmegaConf.load(Path(CONF_DIR, f"{config_name}.yaml")), resolve=False)
    assert isinstance(node, dict), "a YAML of ours is a mapping"
    return {str(key): value for key, value in node.items() if key not in ("defaults", "hydra")}


def select(config: Plain, key: str) -> Any:
    """Return the value of a dotted key; None where there is none, the config itself for an empty key."""
    node: Any = config
    for name in key.split(".") if key else []:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def save_config(cfg: DictConfig, path: Path, plain: Plain | None = None) -> None:
    """Write a resolved config; values that read the environment stay as written.

    Arguments and errors as in `to_saved`.
    """
    write_text(path, to_yaml(to_saved(cfg, plain)))


def to_yaml(values: Any) -> str:
    """Return plain values as the text that OmegaConf writes and reads, by libyaml, which is quicker."""
    text: str = yaml.dump(
        values, Dumper=_DUMPER, default_flow_style=False, allow_unicode=True, sort_keys=False
    )
    return text


def to_saved(cfg: DictConfig, plain: Plain | None = None) -> Plain:
    """Return what `save_config` writes of a config.

    `plain` is what `to_plain` makes of it, where the caller knows it already.

    Raises:
        InputError: a secret would be written: a literal under a key of such a name, a password in an address,
            or a label that reads a secret from the environment.
    """
    raw = OmegaConf.to_container(cfg, resolve=False)
    kept: Plain = keep_environment(raw, plain or to_plain(cfg), "")
    return kept


def refuse_secrets(cfg: DictConfig, folder: Path) -> None:
    """Refuse a config that holds a secret, and remove what Hydra has already written of it."""
    try:
        to_saved(cfg)
    except InputError:
        shutil.rmtree(folder / ".hydra", ignore_errors=True)
        raise


def load_config(path: Path) -> Plain:
    """Return a saved config as plain values; values from the environment are read now."""
    loaded = OmegaConf.load(path)
    if not isinstance(loaded, DictConfig):
        raise InputError(f"{path} is not a mapping")
    config = to_plain(loaded)
    if isinstance(config.get("data"), dict):
        config["data"] = _ADDED_TO_DATA | config["data"]
    return config


def keep_environment(raw: Any, resolved: Any, key: str) -> Any:
    """Return `resolved` with those values of `raw` that read the environment as they are written.

    Raises:
        InputError: see `to_saved`.
    """
    if isinstance(resolved, dict):
        inner = raw if isinstance(raw, dict) else {}
        return {
            name: keep_environment(inner.get(name), value, f"{key}.{name}".lstrip("."))
            for name, value in resolved.items()
        }
    if isinstance(resolved, list):
        items = raw if isinstance(raw, list) else [None] * len(resolved)
        return [keep_environment(*pair, key) for pair in zip(items, resolved, strict=True)]
    if isinstance(raw, str) and _FROM_ENVIRONMENT in raw:
        _check_label(key, raw)
        return raw
    if isinstance(resolved, str):
        _check_text(key, resolved)
    return resolved


def _check_text(key: str, value: str) -> None:
    """Refuse a literal secret."""
    advice = f"set an environment variable and give {key}='${{oc.env:NAME}}'"
    # A class and the nodes above it may have any name: only what is below a secret's name is secret.
    if any(map(is_secret_name, key.split("."))) and not key.endswith("._target_"):
        raise InputError(f"{key} looks like a secret, and configs are written to disk: {advice}")
    if has_password(value):
        raise InputError(
            f"{key} is an address with a password in it, and configs are written to disk: {advice}, or "
            "'https://USER:${oc.env:NAME}@HOST'"
        )


def _check_label(key: str, raw: str) -> None:
    """Refuse a label that would show a secret of the environment."""
    for name in _VARIABLE.findall(raw) if key in _LABELS else ():
        if is_secret_name(name):
            raise InputError(f"{key} reads {name}, which looks like a secret: labels are shown everywhere")
