"""Options of config groups that no file has: data=PATH of pictures, and model=NAME of timm."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import get_args_parser
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.configs.found.folder_layout import absolute, has_splits, subfolders
from imageclf.configs.found.table_layout import labels_in, lists_files
from imageclf.configs.paths import options_of
from imageclf.system.conventions import SUBMISSION, TEST, TRAIN, VALID
from imageclf.system.files import is_file, why_not_listed

# Of our source in Hydra's search path.
FOUND = "imageclf"
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
# Looked up where the config is resolved, so that keys that are given as well count.
_FOLDER = {
    "train": "${find_train:${.root}}",
    "valid": "${find_valid:${.root},${.train}}",
    "test": "${find_test:${.root},${.train},${.valid}}",
}
_TABLE = {
    "id_column": "${find_id_column:${.root},${.csv}}",
    "images": "${find_images:${.root},${.csv},${.id_column}}",
    "suffix": "${find_suffix:${.root},${.csv},${.id_column},${.images}}",
    "label_column": "${find_label_column:${.root},${.csv},${.id_column},${.group_column},${.valid_column}}",
    "valid_column": "${find_valid_column:${.root},${.csv}}",
}


def offer(arguments: Sequence[str]) -> None:
    """Make `data=PATH` and `model=NAME` options of their groups, in this process.

    A config in a folder that the arguments name goes before a path or model.
    """
    FoundSource.arguments = tuple(arguments)
    Plugins.instance().register(FoundSource)
    Plugins.instance().register(FoundPath)


class FoundPath(SearchPathPlugin):
    """Let Hydra ask our source where conf/ has no file."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the source."""
        search_path.append(FOUND, f"{FoundSource.scheme()}://found")


class FoundSource(ConfigSource):
    """Configs that are made when they are asked for."""

    # Hydra makes the instances, so what they have to know stands at the class.
    arguments: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def scheme() -> str:
        """Return the scheme of its place in the search path."""
        return "imageclf"

    def is_config(self, config_path: str) -> bool:
        """Return whether a path below conf/ is an option that no file has."""
        group, _, option = config_path.partition("/")
        is_ours = group == "data" or (group == "model" and "/" not in option)
        return is_ours and not any(source.is_config(config_path) for source in typed_sources(self.arguments))

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the config of a data set or model.

        Raises:
            InputError: there is no such data set.
        """
        group, _, option = config_path.partition("/")
        # Whether timm has the model is checked with the other values.
        of_timm = {"defaults": ["/model/shared@_here_", "_self_"], "backbone": option}
        node = data_node(option) if group == "data" else of_timm
        return ConfigResult(self.provider, self.full_path(), OmegaConf.create(node), {"package": None})

    def available(self) -> bool:
        """Return that it is there."""
        return True

    def is_group(self, config_path: str) -> bool:
        """Return that it has no groups of its own: nothing of it is listed."""
        return False

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Return nothing: there are more paths and models than can be listed."""
        return []


def data_node(path: str) -> dict[str, Any]:
    """Return the config of a folder of pictures, or of a CSV.

    Raises:
        InputError: it is neither, or could be both.
    """
    place = absolute(path)
    # An empty path would be the working directory.
    reason = why_not_listed(path and place, "folder or file")
    if not reason:
        table = table_in(path)
        if table is not None:
            return table_node(table)
        return {"defaults": ["/data/folder@_here_", "_self_"], "root": _literal(path), **_FOLDER}
    if is_file(place) and place.suffix.lower() in (".csv", ".tsv"):
        return table_node(Path(path))
    options = ", ".join(options_of("data"))
    if is_file(place) and place.name.lower().endswith(_ARCHIVES):
        raise InputError(f"data={path}: this is an archive; unpack it, and give the path of its folder")
    what = "this is no folder and no .csv file" if is_file(place) else reason
    raise InputError(f"data={path}: {what}; give the path of your pictures, or one of {options}")


def table_node(path: Path) -> dict[str, Any]:
    """Return the config of a CSV whose pictures lie beside or below it."""
    node = {"root": _literal(str(path.parent)), "csv": _literal(str(absolute(str(path)))), **_TABLE}
    return {"defaults": ["/data/csv@_here_", "_self_"], **node}


def table_in(path: str) -> Path | None:
    """Return the CSV that lists the pictures of a folder; None where the folders are the classes.

    The sample submission of a competition is none.

    Raises:
        InputError: several CSVs do, or one does and the folders may be other classes than it has.
    """
    if has_splits(path):
        return None
    names = sorted(each.name for each in absolute(path).glob("*.csv"))
    labels = {name: labels_in(path, name) for name in names if SUBMISSION not in name.casefold()}
    found = [name for name in labels if labels[name]]
    if len(found) > 1:
        choice = " or ".join(f"data={Path(path, name)}" for name in found)
        raise InputError(f"data={path}: several CSVs list pictures; give the one to learn from, {choice}")
    folders = {name for name in subfolders(absolute(path)) if name.casefold() not in (*TRAIN, *VALID, *TEST)}
    if not found and len(folders) < 2:
        # Folders of classes these are not. Which column has the classes is asked for later.
        listing = [name for name in labels if lists_files(path, name)]
        return Path(path, listing[0]) if len(listing) == 1 else None
    # A list of the same classes adds nothing to the folders.
    if not found or labels[found[0]] <= folders:
        return None
    if len(folders) > 1:
        raise InputError(
            f"data={path} holds {found[0]}, which lists pictures of other classes than the folders "
            f"{', '.join(sorted(folders)[:10])}: give data={Path(path, found[0])}, or "
            f"data=folder data.root={path} data.train=. data.valid=null"
        )
    return Path(path, found[0])


def _literal(path: str) -> str:
    # OmegaConf would look up what is in ${}.
    return path.replace("${", r"\${")


def typed_sources(arguments: Sequence[str]) -> Iterator[ConfigSource]:
    """Yield the sources of configs that a command line adds, by --config-dir or hydra.searchpath."""
    given, others = get_args_parser().parse_known_args(list(arguments))
    typed = [each for each in (*given.overrides, *others) if each.startswith("hydra.searchpath=")]
    values = [each.value() for each in OverridesParser.create().parse_overrides(typed)]
    # Hydra itself refuses what is no list.
    paths = [str(path) for value in values if isinstance(value, list) for path in value]
    if given.config_dir is not None:
        paths.append(f"file://{Path(given.config_dir).absolute()}")
    for path in paths:
        source = SourcesRegistry.instance().resolve(path.partition("://")[0] if "://" in path else "file")
        yield source("command-line", path)
