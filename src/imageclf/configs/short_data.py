"""The short form data=PATH of a folder of pictures, for commands whose `data` is a config group."""

from collections.abc import Collection, Sequence
from pathlib import Path

from hydra._internal.utils import get_args_parser

from imageclf import InputError
from imageclf.configs.paths import CONF_DIR
from imageclf.system.command_line import quoted


def expand_data(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with data=PATH replaced by the keys that it stands for.

    A PATH without a folder `train` is taken for folders of classes. Keys that are given as well win;
    options of the config group, and words that are no folder, stay for Hydra to judge.

    Raises:
        InputError: a PATH with a slash is no folder.
    """
    options = data_options(arguments)
    short = next((each for each in arguments if _is_folder(each, options)), None)
    if short is None:
        return list(arguments)
    root = short.removeprefix("data=")
    given = {argument.partition("=")[0].lstrip("+~") for argument in arguments}
    keys = {"data.root": quoted(root)} | _layout(Path(root).expanduser(), has_train="data.train" in given)
    added = [f"{key}={value}" for key, value in keys.items() if key not in given]
    return [word for each in arguments for word in (["data=folder", *added] if each == short else [each])]


def data_options(arguments: Sequence[str]) -> set[str]:
    """Return the options of the config group `data`, also those of a folder given by --config-dir."""
    own = get_args_parser().parse_args(list(arguments)).config_dir
    groups = [Path(folder, "data") for folder in (CONF_DIR, own) if folder is not None]
    files = [(group, path) for group in groups for path in group.rglob("*.yaml")]
    return {path.relative_to(group).with_suffix("").as_posix() for group, path in files}


def _is_folder(argument: str, options: Collection[str]) -> bool:
    key, _, value = argument.partition("=")
    if key != "data" or value == "" or value in options:
        return False
    found = Path(value).expanduser().is_dir()
    # A sweep over options has commas; Hydra would look for a config of this name.
    if not found and "/" in value and "," not in value:
        raise InputError(f"data={value}: there is no such folder; name one, or {', '.join(sorted(options))}")
    return found


def _layout(root: Path, has_train: bool) -> dict[str, str]:
    if not has_train and not (root / "train").is_dir():
        return {"data.train": ".", "data.valid": "null"}
    return {} if (root / "valid").is_dir() else {"data.valid": "null"}
