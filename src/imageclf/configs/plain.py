"""Convert configs between OmegaConf, plain Python values and config.yaml."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imageclf import InputError
from imageclf.system.files import write_text

Plain = dict[str, Any]

_SECRETS = ("api_key", "apikey", "token", "password", "passwd", "secret")
# Keys that runs of earlier versions lack, with the behaviour of those versions.
_ADDED_TO_DATA: Plain = {"device_store": "off"}
_FROM_ENVIRONMENT = "${oc.env:"


def to_plain(cfg: DictConfig) -> Plain:
    """Return a config as plain Python values, everything resolved.

    Raises:
        InputError: a value is missing (`???`).
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"{missing[0]} has no value yet: give {missing[0]}=...")
    plain = OmegaConf.to_container(cfg, resolve=True)
    if not isinstance(plain, dict):
        raise InputError("the config is not a mapping")
    return {str(key): value for key, value in plain.items()}


def select(config: Plain, key: str) -> Any:
    """Return the value of a dotted key; None where there is none, the config itself for an empty key."""
    node: Any = config
    for name in key.split(".") if key else []:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def save_config(cfg: DictConfig, path: Path) -> None:
    """Write a resolved config; values that read the environment stay as written.

    Raises:
        InputError: a literal stands under a key that looks like a secret.
    """
    kept = to_saved(cfg)
    write_text(path, OmegaConf.to_yaml(OmegaConf.create(kept)))


def to_saved(cfg: DictConfig) -> Plain:
    """Return what `save_config` writes of a config.

    Raises:
        InputError: a literal stands under a key that looks like a secret.
    """
    raw = OmegaConf.to_container(cfg, resolve=False)
    kept: Plain = keep_environment(raw, to_plain(cfg), "")
    return kept


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
        InputError: a literal stands under a key that looks like a secret.
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
        return raw
    name = key.rpartition(".")[2].lower()
    if isinstance(resolved, str) and any(secret in name for secret in _SECRETS):
        raise InputError(
            f"{key} looks like a secret, and configs are written to disk: set an environment variable "
            f"and give {key}='${{oc.env:NAME}}'"
        )
    return resolved
