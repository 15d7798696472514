"""Turn a clone into a project of one's own: `make rename NAME=...`; docs/project.md says what that does."""

import importlib.util
import keyword
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

OLD = "imageclf"
# What tells of this project rather than of the code, and this script.
REMOVED = (
    "notebooks",
    "tests/test_notebooks.py",
    "docs/images",
    "docs/make_pictures.py",
    "CITATION.cff",
    ".ci/rename.py",
    "tests/test_rename.py",
)
# A licence has to keep the names of the authors, and of whose pictures they are.
KEPT = ("LICENSE", "data/")
# A part of a text that tells of what is removed goes with it.
PARTS = {"Makefile": "\n\n", "docs/index.md": "\n\n", "docs/project.md": "\n## ", "docs/python.md": "\n## "}
TELLING = ("make rename", "rename.py", "(images/", "notebooks/")

README = """\
# NAME

Fine-tune image classifiers in one command that can be killed and goes on. Made from imageclf.

```bash
make test
NAME-analyse data=PICTURES
NAME-train data=PICTURES hydra.run.dir=runs/mine ckpt_path=auto
NAME-predict run=runs/mine data=NEW
```

It needs Python 3.11 to 3.13. Every command explains itself with `--help`, [the documentation](docs/index.md)
has every key, and [the architecture](docs/architecture.md) shows how the code is laid out.

```bash
NAME-plan schedule=minimal
NAME-lr-find phase=finetune
NAME-prefetch model=lite0
NAME-train -m seed=1,2 schedule.phases.finetune.cycle_mult=1,2
NAME-collect root=runs
NAME-export run=runs/mine format=onnx
NAME-new other
```

```python
import NAME

run = NAME.train(data="photos", schedule="minimal", run_dir="runs/photos")
print(run.predict("new").to_pandas())
```
"""
CHANGELOG = "# Changelog\n\n## 0.1.0, not released yet\n\n- Made from imageclf.\n"
NEXT = """\
The package is called {name} now, and is staged as the first commit of a new branch, {name}.
next
  make clean
  make test                        installs {name}, and tests it
  git commit -m 'Begin {name}'
or, to undo all of it
  git checkout --force {branch}"""


def main(name: str) -> None:
    """Rename the package, and stage all of it on a new branch without history."""
    check(name)
    branch = git("branch", "--show-current").strip() or git("rev-parse", "HEAD").strip()
    if git("status", "--porcelain"):
        sys.exit("make rename: the work tree has changes; commit them first, so that this can be undone")
    if git("branch", "--list", name):
        sys.exit(f"make rename: there is a branch {name} already; delete it, or give another name")
    git("rm", "-r", "--quiet", "--ignore-unmatch", *REMOVED)
    paths = tracked()
    for path in paths:
        rewrite(path, name)
    move(paths, name)
    Path("README.md").write_text(README.replace("NAME", name), encoding="utf-8")
    Path("docs/changelog.md").write_text(CHANGELOG, encoding="utf-8")
    # Imports are sorted by name, and lines have another length.
    for command in (["check", "--select=I", "--fix"], ["format"]):
        subprocess.run([sys.executable, "-m", "ruff", *command, "--quiet", "."], check=True)
    git("checkout", "--quiet", "--orphan", name)
    git("add", "--all")
    print(NEXT.format(name=name, branch=branch))


def check(name: str) -> None:
    """End with a sentence if a name cannot be that of the package."""
    if not (name.isidentifier() and name.isascii() and name == name.lower()) or keyword.iskeyword(name):
        sys.exit(f"make rename NAME={name}: give a name for a package of Python, such as blossom")
    if importlib.util.find_spec(name) is not None:
        sys.exit(f"make rename NAME={name}: a package of that name is installed; give another name")
    for path in tracked():
        # This script and its test name an example.
        is_code = path.suffix in {".py", ".yaml", ".toml"} and str(path) not in REMOVED
        if name in path.parts or (is_code and re.search(rf"\b{name}\b", text_of(path) or "")):
            sys.exit(f"make rename NAME={name}: {path} uses this word for something else; give another name")


def renamed(text: str, name: str) -> str:
    """Return a text or a path with the old name replaced in each of its three spellings."""
    spelled = {OLD: name, OLD.upper(): name.upper(), OLD.title(): name.title().replace("_", "")}
    return re.sub("|".join(spelled), lambda found: spelled[found[0]], text)


def rewrite(path: Path, name: str) -> None:
    """Replace the old name in a file, and leave out the parts of it that tell of what is removed."""
    text = None if str(path).startswith(KEPT) else text_of(path)
    if text is None:
        return
    if between := PARTS.get(str(path)):
        parts = text.split(between)
        text = between.join(part for part in parts if not any(word in part for word in TELLING))
        text = text.rstrip("\n") + "\n"
    if renamed(text, name) != text or between:
        path.write_text(renamed(text, name), encoding="utf-8")


def move(paths: Iterable[Path], name: str) -> None:
    """Move files whose path holds the old name, and remove the folders that this leaves behind."""
    for path in paths:
        target = Path(renamed(str(path), name))
        if target != path:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    # Of what git does not track, only the caches of Python are in them.
    for folder in [each for each in Path("src").rglob(f"*{OLD}*") if each.is_dir()]:
        shutil.rmtree(folder)


def tracked() -> list[Path]:
    """Return the files that git tracks."""
    return [Path(line) for line in git("ls-files", "-z").split("\0") if line]


def text_of(path: Path) -> str | None:
    """Return the text of a file; None: it is a picture or the like."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def git(*words: str) -> str:
    """Return what git prints."""
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"make rename: git {words[0]} fails: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main(*(sys.argv[1:] or [""]))
