"""What Hydra has recorded of the command that started a run; a damaged file raises InputError."""

import shutil
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from imageclf.configs.plain import to_yaml
from imageclf.configs.saved.untrusted import read_config, read_if_there, read_texts
from imageclf.system.errors import InputError

_HYDRAS, _START = Path(".hydra"), Path(".hydra", "start")
_FILES = ("hydra.yaml", "overrides.yaml")


def write_record(config: DictConfig, run_dir: Path) -> None:
    """Write the record that Hydra would make when the job starts.

    The config is the job's, with its hydra node.
    """
    folder = config.hydra.output_subdir
    if folder is None:
        return
    raw: Any = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    hydra = raw.pop("hydra")
    record = {"config": raw, "hydra": {"hydra": hydra}, "overrides": hydra["overrides"]["task"]}
    (run_dir / folder).mkdir(parents=True, exist_ok=True)
    for name, values in record.items():
        (run_dir / folder / f"{name}.yaml").write_text(to_yaml(values), encoding="utf-8")


def keep_record(run_dir: Path) -> None:
    """Keep the record of the command that starts a run: Hydra overwrites it with that of every later command.

    A directory without such a record, of a run that another program starts, is left as it is.
    """
    for name in _FILES:
        if (run_dir / _HYDRAS / name).is_file():
            (run_dir / _START).mkdir(exist_ok=True)
            shutil.copyfile(run_dir / _HYDRAS / name, run_dir / _START / name)


def read_overrides(run_dir: Path) -> list[str] | None:
    """Return the arguments that a run was started with, as the shell passed them; None without a record."""
    path = _record(run_dir) / "overrides.yaml"
    return read_if_there(path, read_texts, None)


def read_choices(run_dir: Path) -> dict[str, str]:
    """Return the option of each config group that a run was started with, without Hydra's own groups.

    Empty if they are not known: there is no record, or only that of a command that continued the run.
    """
    continued = not (run_dir / _START).is_dir() and "ckpt_path=auto" in (read_overrides(run_dir) or [])
    choices = {} if continued else _read(_record(run_dir) / "hydra.yaml", "runtime", "choices")
    return {
        str(group): str(option) for group, option in choices.items() if not str(group).startswith("hydra/")
    }


def command_of(folder: Path) -> str:
    """Return which command wrote a folder: train, plan, analyse and so on; "" if there is no record of it."""
    return str(_read(folder / _HYDRAS / "hydra.yaml", "job").get("config_name") or "")


def _record(run_dir: Path) -> Path:
    return run_dir / (_START if (run_dir / _START).is_dir() else _HYDRAS)


def _read(path: Path, *keys: str) -> dict[str, object]:
    """Return a mapping inside the node `hydra`; an empty one without the file or the key."""
    nothing: dict[str, Any] = {}
    node: Any = read_if_there(path, read_config, nothing)
    for key in ("hydra", *keys):
        node = node.get(key) or {}
        if not isinstance(node, dict):
            raise InputError(f"{path} is damaged ({key} is not a mapping): remove it, or run again")
    found: dict[str, object] = node
    return found
