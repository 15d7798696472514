"""Write a small project that uses imageclf as a library: its configs, its own code, tests and notebook."""

import json
import keyword
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from imageclf import InputError
from imageclf.system.files import write_text

_REQUIREMENT = "imageclf[demo,export]"
# Folders and files whose names start with a dot in the project.
_HIDDEN = {"gitignore": ".gitignore", "ci": ".ci", "workflows": ".github/workflows"}


def new_project(name: str, parent: Path) -> Path:
    """Write a project below a folder, and return its own; it is a git repository where git is installed.

    Raises:
        InputError: the name is not one for a package, another package has it, or the folder exists.
    """
    _check(name, parent)
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, autoescape=False
    )
    values = {"name": name, "requirement": requirement(_installed_from())}
    with as_file(files("imageclf") / "project") as templates:
        for path in sorted(templates.rglob("*.j2")):
            target = parent / name / target_of(path.relative_to(templates), name)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_text(target, environment.from_string(path.read_text(encoding="utf-8")).render(values))
    (parent / name / ".ci" / "run").chmod(0o755)
    if shutil.which("git") is not None:
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(parent / name)], check=True)
    return parent / name


def requirement(origin: Mapping[str, Any]) -> str:
    """Return what the project requires, so that pip finds it where this package was installed from.

    `origin` is direct_url.json of the installed package; it is empty where an index has it.

    >>> requirement({"url": "https://host/it", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}})
    'imageclf[demo,export] @ git+https://host/it@c0ffee'

    Source: https://packaging.python.org/en/latest/specifications/direct-url/
    """
    vcs = origin.get("vcs_info", {})
    before, after = (f"{vcs['vcs']}+", f"@{vcs['commit_id']}") if vcs else ("", "")
    return f"{_REQUIREMENT} @ {before}{origin['url']}{after}" if origin else _REQUIREMENT


def _installed_from() -> dict[str, Any]:
    try:
        return dict(json.loads(distribution("imageclf").read_text("direct_url.json") or "{}"))
    except PackageNotFoundError:
        # It is imported from a folder.
        return {}


def target_of(template: Path, name: str) -> Path:
    """Return where a template goes in the project.

    >>> str(target_of(Path("src/NAME/loss.py.j2"), "petals")), str(target_of(Path("ci/run.j2"), "petals"))
    ('src/petals/loss.py', '.ci/run')
    """
    first, *others = template.with_suffix("").parts
    return Path(_HIDDEN.get(first, first), *(part.replace("NAME", name) for part in others))


def next_steps(folder: Path) -> str:
    """Return where the project is, and the commands to begin with."""
    return f"{folder}\nnext\n  cd {folder.name}\n  make demo    train on pictures that it draws\n  make test"


def _check(name: str, parent: Path) -> None:
    """Refuse a name that the project cannot have."""
    if not (name.isidentifier() and name.isascii() and name == name.lower()) or keyword.iskeyword(name):
        raise InputError(f"imageclf-new {name}: give a name for a package of Python, such as petals")
    if (parent / name).exists():
        raise InputError(f"imageclf-new {name}: {parent / name} exists already; give another name")
    if find_spec(name) is not None:
        raise InputError(f"imageclf-new {name}: a package of that name is installed; give another name")
