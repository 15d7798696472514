"""Write docs/reference.md: every command, group and key, from the YAML files and the table of ranges.

Run: python docs/make_reference.py
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from imageclf.configs.help import Entry, examples, header, keys_of, yaml_of
from imageclf.configs.paths import CONF_DIR, options_of
from imageclf.schedule.ranges import range_of

PAGE = Path(__file__).with_name("reference.md")
# Each command with the file of its config.
COMMANDS = {
    "train": "train",
    "plan": "plan",
    "lr_find": "lr_find",
    "batch_size": "batch_size",
    "analyse": "analyse",
    "predict": "commands/predict",
    "export": "commands/export",
    "collect": "commands/collect",
    "cache": "commands/cache",
    "prefetch": "prefetch",
}
# Each config group with where its keys are in the config; "" where its files say that themselves.
GROUPS = {
    "data": "data.",
    "transforms": "transforms.",
    "model": "model.",
    "model/loss": "model.loss.",
    "model/optimizer": "model.optimizer.",
    "schedule": "schedule.",
    "callbacks": "callbacks.",
    "callbacks/lr_finder": "callbacks.lr_finder.",
    "metrics": "metrics.",
    "analysis": "analysis.",
    "trainer": "trainer.",
    "logger": "logger.",
    "cluster": "",
    "task": "",
    "experiment": "",
    "debug": "",
    "hparams_search": "",
    "hydra/sweeper": "hydra.sweeper.",
}
_PHASE = re.compile(r"^(schedule[.]phases)[.]\w+")
INTRODUCTION = """\
# Reference

Every command, config group and key. `python docs/make_reference.py` writes this page from the comments in
`conf/`; each command prints its own part with `--help`. On the command line a key is given as `KEY=VALUE` and
a group as `GROUP=OPTION`. `???` marks a key that must be given."""


def reference() -> str:
    """Return the page."""
    commands = [part for name, config in COMMANDS.items() for part in command_parts(name, config)]
    groups = [part for group in GROUPS for part in group_parts(group)]
    return "\n\n".join([INTRODUCTION, "## Commands", *commands, "## Groups", *groups]) + "\n"


def command_parts(name: str, config: str) -> Iterator[str]:
    """Yield what the page says of a command."""
    path = yaml_of(config)
    purpose = str(import_module(f"imageclf.{name}").__doc__).splitlines()[0].partition(": ")[2]
    yield f"### imageclf-{name.replace('_', '-')}"
    yield purpose[0].upper() + purpose[1:]
    yield bullets(examples(path))
    yield from keys_table(keys_of(path))


def group_parts(group: str) -> Iterator[str]:
    """Yield what the page says of a config group: what its options share, then each with its keys."""
    options = options_of(group)
    files = sorted(path.stem for path in Path(CONF_DIR, group).glob("*.yaml"))
    yield f"### {group}"
    for name in sorted(files, key=lambda name: (name in options, name)):
        yield f"**`{group}={name}`**" if name in options else f"**In every `{group}`**"
        yield header_text(group, name)
        yield from keys_table(group_keys(group, name))


def group_keys(group: str, name: str) -> list[Entry]:
    """Return the keys of an option, as the command line takes them."""
    # Its file has the keys of one phase.
    prefix = "schedule.phases.NAME." if (group, name) == ("schedule", "phase") else GROUPS[group]
    return [each._replace(name=prefix + each.name) for each in keys_of(yaml_of(f"{group}/{name}"))]


@cache
def meanings() -> dict[str, str]:
    """Return what keys mean by the file that says it; an option that sets one need not repeat it."""
    names = [(group, path.stem) for group in GROUPS for path in Path(CONF_DIR, group).glob("*.yaml")]
    keys = [each for group, name in sorted(names) for each in group_keys(group, name)]
    return {each.name: each.meaning for each in keys if each.meaning}


def meaning_of(each: Entry) -> str:
    """Return what a key means, said by its own file or by another."""
    return each.meaning or meanings().get(_PHASE.sub(r"\1.NAME", each.name), "")


def header_text(group: str, name: str) -> str:
    """Return what a file says of itself, commands marked as such."""
    return bullets(examples(yaml_of(f"{group}/{name}"))) or cell(header(yaml_of(f"{group}/{name}")))


def bullets(entries: Sequence[Entry]) -> str:
    """Return commands with what they do, as a list."""
    return "\n".join(f"- `{each.name}`: {cell(each.meaning)}" for each in entries)


def keys_table(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a table of keys, if there are any."""
    rows = [(code(each.name), code(each.value), legal(each.name), cell(meaning_of(each))) for each in entries]
    if rows:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        yield "\n".join(["| key | default | numbers | meaning |", "|---|---|---|---|", *lines])


def code(text: str) -> str:
    """Return text set as code; "" if there is none."""
    return f"`{text}`" if text else ""


def legal(key: str) -> str:
    """Return what a number under a key may be; "" where none is asked for."""
    found = range_of(key)
    return "" if found is None else str(found)


def cell(text: str) -> str:
    """Return text that a table or list shows as it is."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
