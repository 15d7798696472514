"""Modules import downward only, without a circle: read off the source, file by file."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "imageclf"
FILES = sorted(SOURCE.rglob("*.py"))
# A folder imports from those below it; folders of one floor do not import each other.
FLOORS = {
    "system": 0,
    "schedule": 1,
    "analysis": 1,
    "tasks": 2,
    "configs": 3,
    "data": 3,
    "model": 3,
    "report": 4,
    "evaluation": 4,
    "callbacks": 5,
    "training": 6,
    "launch": 7,
    "commands": 8,
    "api": 9,
}
MAINS = 10
MOST_FILES, MOST_LEVELS = 15, 2


class Import(NamedTuple):
    """A name that a file imports: the module that defines it, or the package where that is another's."""

    importer: str
    imported: str
    inside: str | None
    """The function in which it stands."""


def module_of(path: Path) -> str:
    """Return a file's module below imageclf; the package itself is the empty name."""
    parts = [part for part in path.relative_to(SOURCE).with_suffix("").parts if part != "__init__"]
    return ".".join(parts)


MODULES = {module_of(path): path for path in FILES}
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def floor_of(module: str) -> int:
    """Return the floor of a module: the package itself is below all, the mains are above."""
    return FLOORS.get(module.split(".")[0], MAINS) if module else -1


def defining(package: str, name: str) -> str:
    """Return the module that an imported name stands in: packages pass on names of their modules."""
    inner = f"{package}.{name}".lstrip(".")
    if inner in MODULES:
        return inner
    passed_on = (node for node in TREES[package].body if isinstance(node, ast.ImportFrom))
    if MODULES[package].name == "__init__.py":
        for node in passed_on:
            if name in {alias.asname or alias.name for alias in node.names}:
                return defining(own(node.module), name) if own(node.module) is not None else package
    return package


def own(module: str | None) -> str | None:
    """Return a module's name below imageclf; None of another package's."""
    root, _, below = (module or "").partition(".")
    return below if root == "imageclf" else None


def imports_of(module: str) -> list[Import]:
    """Return every import of a file; one of another package keeps its name, after a colon."""
    found = []

    def visit(node: ast.AST, inside: str | None) -> None:
        for child in ast.iter_child_nodes(node):
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            found.extend(Import(module, name, inside) for name in names_in(child))
            visit(child, child.name if is_function and inside is None else inside)

    visit(TREES[module], None)
    return found


def names_in(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [below if (below := own(alias.name)) is not None else f":{alias.name}" for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide their floor"
        below = own(node.module)
        return [f":{node.module}"] if below is None else [defining(below, each.name) for each in node.names]
    return []


IMPORTS = list(chain.from_iterable(imports_of(module) for module in MODULES))
OURS = [each for each in IMPORTS if not each.imported.startswith(":")]


def packages_of(*folders: str) -> set[str]:
    """Return the foreign packages that folders import."""
    theirs = [each for each in IMPORTS if each.imported.startswith(":")]
    return {each.imported[1:].split(".")[0] for each in theirs if each.importer.split(".")[0] in folders}


def is_upward(importer: str, imported: str) -> bool:
    """Return whether an import goes upward, or sideways into another folder."""
    here, there = floor_of(importer), floor_of(imported)
    same = importer.split(".")[0] == imported.split(".")[0]
    return there > here or (there == here and not same)


def test_the_source_is_found():
    assert len(FILES) > 150
    assert {module.split(".")[0] for module in MODULES} >= set(FLOORS)
    assert len(OURS) > 500


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("callbacks.tta", "data.batch", False),
        ("training.build", "configs.plain", False),
        ("schedule.phase", "", False),
        ("data.sources.table", "data.sources.names", False),
        ("train", "launch.start", False),
        ("train", "plan", True),
        ("system.machine", "data", True),
        ("data.sources.table", "model", True),
        ("model.predictions", "analysis.scores", False),
        ("analysis.scores", "model.predictions", True),
        ("analysis.scores", "report.page", True),
        ("callbacks.tta", "training.door", True),
    ],
)
def test_an_import_upward_or_sideways_is_told_from_one_downward(importer, imported, expected):
    assert is_upward(importer, imported) is expected


@pytest.mark.parametrize(
    ("package", "name", "expected"),
    [
        ("data", "Table", "data.sources.table"),
        ("data", "batch", "data.batch"),
        ("", "InputError", "system.errors"),
    ],
)
def test_an_imported_name_is_followed_to_the_file_that_defines_it(package, name, expected):
    assert defining(package, name) == expected


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module or "imageclf")
def test_a_file_imports_only_from_below(module):
    upward = [each for each in OURS if each.importer == module and is_upward(module, each.imported)]
    # The package itself passes on what it is made of.
    assert upward == [] or module == ""


def test_no_files_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for each in OURS:
        # A package passes on the names of its own modules.
        if MODULES[each.importer].name != "__init__.py":
            graph[each.importer].add(each.imported)
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_only_mains_import_inside_a_function_and_only_to_keep_torch_out_of_help():
    inside = {(each.importer, each.inside) for each in OURS if each.inside is not None}
    mains = {(module, function) for module, function in inside if floor_of(module) == MAINS}
    # The others call `run` of their file in commands/ by its name.
    assert mains == {("new", "_write")}
    # Triton is there on a machine with a GPU alone.
    assert inside - mains == {("data.device_store", "fastest_on")}


def test_a_folder_has_at_most_fifteen_files_and_lies_at_most_two_levels_deep():
    folders = {path.parent for path in FILES}
    assert len(folders) > 12
    files = {
        folder: [path for path in folder.glob("*.py") if path.name != "__init__.py"] for folder in folders
    }
    assert {folder: len(found) for folder, found in files.items() if len(found) > MOST_FILES} == {}
    assert max(len(folder.relative_to(SOURCE).parts) for folder in folders) <= MOST_LEVELS


def test_no_module_is_called_utils():
    assert [path for path in FILES if {"utils", "utils.py", "helpers", "helpers.py"} & set(path.parts)] == []


def test_lightning_is_imported_under_its_own_name_only():
    imported = packages_of(*FLOORS)
    assert "lightning" in imported
    assert not imported & {"pytorch_lightning", "lightning_fabric"}


def test_the_schedule_needs_nothing_but_the_standard_library():
    imported = packages_of("schedule")
    assert "dataclasses" in imported
    assert imported <= set(sys.stdlib_module_names)


def test_numbers_and_reports_import_neither_torch_nor_lightning():
    imported = packages_of("analysis", "report")
    assert "numpy" in imported
    assert not imported & {"torch", "lightning", "timm", "torchvision"}


def test_only_the_config_and_what_is_built_from_it_knows_hydra():
    below = packages_of(
        "schedule", "system", "tasks", "data", "model", "analysis", "report", "evaluation", "callbacks"
    )
    assert "torch" in below
    assert not below & {"hydra", "omegaconf"}


@pytest.fixture(scope="module")
def loaded_by_mains() -> set[str]:
    """Return the packages that are loaded once every main is imported, as --help and Tab do."""
    mains = [path.stem for path in FILES if " = command(" in path.read_text(encoding="utf-8")]
    assert len(mains) == 10
    code = f"import sys, {', '.join(f'imageclf.{name}' for name in mains)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {module.split(".")[0] for module in done.stdout.split()}


def test_hydra_finds_the_launcher_and_loads_nothing_heavy_for_it():
    code = "import sys; from hydra.core.plugins import Plugins; Plugins.instance(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hydra_plugins.imageclf_launcher.launcher" in done.stdout.split()
    assert not {"torch", "lightning", "pandas"} & {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("package", ["torch", "lightning", "timm", "torchvision", "pandas", "matplotlib"])
def test_the_mains_load_nothing_heavy_for_help(loaded_by_mains, package):
    assert "hydra" in loaded_by_mains
    assert package not in loaded_by_mains
