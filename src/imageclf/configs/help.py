"""What --help prints of a command: read off its docstring and the comments of the YAML files."""

import re
import shutil
import textwrap
from collections.abc import Iterator
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import NamedTuple

from imageclf.configs.paths import CONF_DIR, options_of

# Files whose keys are listed, and where their keys are in the config.
_LISTED = (
    ("data", "data/shared"),
    ("model", "model/shared"),
    ("schedule.phases.NAME", "schedule/phase"),
    ("trainer", "trainer/shared"),
    ("analysis", "analysis/default"),
)
_FLAGS = """\
  -m            a run for each combination of values with commas
  --cfg job     print the config and start nothing; --resolve fills in what ${} stands for
  --config-dir  a folder of configs of your own, laid out like conf/
  --hydra-help  the flags of Hydra; -sc install=bash prints what completes groups and keys by Tab"""
_COMMENT = r"(?:\s+# (?P<meaning>.*))?"
_KEY = re.compile(r"(?P<indent> *)(?P<name>\w+):(?: (?P<value>[^# ].*?))?" + _COMMENT)
_CHOICE = re.compile(r" +- (?P<group>[\w/]+): (?P<option>\w+)" + _COMMENT)
_COMMAND = re.compile(r"(imageclf-[a-z-]+(?: (?:-m|~[\w.]+|\+?[\w./]+=[^\s:;]+))*): ")


class Entry(NamedTuple):
    """A line of the help.

    Args:
        name: of a key or option.
        value: the default.
        meaning: "" where the file does not say it.
    """

    name: str
    value: str
    meaning: str


def help_text(config_name: str, purpose: str) -> str:
    """Return the help of a command."""
    path = yaml_of(config_name)
    parts = [purpose, _section("Examples", examples(path))]
    groups = list(groups_of(path))
    if groups:
        parts.append(_section("GROUP=OPTION", [line for each in groups for line in each]))
    parts.append(_section("KEY=VALUE", keys_of(path)))
    if groups and config_name == "train":
        parts += [_section(f"{name}.KEY", keys_of(yaml_of(file))) for name, file in _LISTED]
        files = sorted(Path(CONF_DIR, "callbacks").glob("*.yaml"))
        keys = [each for file in files for each in keys_of(file)]
        parts.append(_section("callbacks.KEY", [each for each in keys if each.value and each.meaning]))
    if "  - train" in path.read_text(encoding="utf-8").splitlines():
        parts.append("It takes all groups and keys of imageclf-train, too: see imageclf-train --help.")
    return "\n\n".join([*filter(None, parts), f"Flags\n{_FLAGS}"])


def yaml_of(name: str) -> Path:
    """Return a file below conf/."""
    return Path(CONF_DIR, f"{name}.yaml")


def examples(path: Path) -> list[Entry]:
    """Return the commands of a file's first comment, with what each of them does."""
    _, *words = _COMMAND.split(header(path))
    # Without what leads over to the next command.
    meanings = [re.sub(r"[;.]?\s*(?:then |or )?$", "", text) for text in words[1::2]]
    return [Entry(name, "", meaning) for name, meaning in zip(words[::2], meanings, strict=True)]


def groups_of(path: Path) -> Iterator[list[Entry]]:
    """Yield a group with its options for each choice of a defaults list that has a comment.

    A choice without a comment is none for users. Below a group follow those that lie in it.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        choice = _CHOICE.fullmatch(line)
        if choice is None:
            continue
        group = _folder_of(path) + choice["group"]
        if choice["meaning"]:
            options = [Entry(f"  {name}", "", meaning_of(group, name)) for name in options_of(group)]
            yield [Entry(group, choice["option"].replace("null", ""), choice["meaning"]), *options]
        for name in ("shared", "default"):
            if yaml_of(f"{group}/{name}").exists():
                yield from groups_of(yaml_of(f"{group}/{name}"))


def meaning_of(group: str, option: str) -> str:
    """Return the first sentence that an option's file says of it."""
    found = [meaning for _, _, meaning in examples(yaml_of(f"{group}/{option}"))]
    return re.split(r"(?<=\w)[.] ", found[0])[0] if found else ""


def keys_of(path: Path) -> list[Entry]:
    """Return the keys of a file with their defaults, and the comments behind or above them."""
    found: list[Entry] = []
    nodes: dict[int, str] = {}
    above: list[str] = []
    for line in dropwhile(_is_comment, path.read_text(encoding="utf-8").splitlines()):
        key = _KEY.fullmatch(line)
        if key is None or line.lstrip().startswith("#"):
            above = [*above, line.strip(" #")] if line.lstrip().startswith("#") else []
            continue
        indent = len(key["indent"])
        nodes = {depth: name for depth, name in nodes.items() if depth < indent} | {indent: key["name"]}
        if key["name"] != "_target_" and not {"hydra", "defaults"} & {*nodes.values()}:
            found.append(
                Entry(".".join(nodes.values()), key["value"] or "", key["meaning"] or " ".join(above))
            )
        above = []
    # A node is named by its keys, and what Hydra sets is chosen by a group.
    return [each for each in found if (each.value or each.meaning) and not each.value.startswith("${hydra:")]


def header(path: Path) -> str:
    """Return the comment that a file opens with, as one line."""
    lines = takewhile(_is_comment, path.read_text(encoding="utf-8").splitlines())
    return " ".join(line.lstrip("# ") for line in lines if not line.startswith("# @"))


def _is_comment(line: str) -> bool:
    return line.startswith("#")


def _folder_of(path: Path) -> str:
    folder = path.parent.relative_to(CONF_DIR).as_posix()
    return "" if folder == "." else f"{folder}/"


def _section(title: str, entries: list[Entry]) -> str:
    if not entries:
        return ""
    width = max(60, min(shutil.get_terminal_size((100, 0)).columns, 120))
    named = [(_named(each), each.meaning) for each in entries]
    column = min(max(len(name) for name, _ in named), 42) + 2
    lines = [_line(name, meaning, column, width) for name, meaning in named]
    return "\n".join([title, *lines])


def _named(entry: Entry) -> str:
    # What must be given is ??? in the YAML.
    return f"{entry.name}={'...' if entry.value == '???' else entry.value}" if entry.value else entry.name


def _line(name: str, meaning: str, column: int, width: int) -> str:
    """Return a name and its meaning, in columns; a long name has a line for itself."""
    first = f"  {name}".ljust(column + 2)
    text = textwrap.wrap(meaning, width - column - 2, break_on_hyphens=False) or [""]
    gap = "\n" + " " * (column + 2)
    start = first if len(name) < column else f"  {name}{gap}"
    return (start + gap.join(text)).rstrip()
