"""Modules import only from floors below their own, read off the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "imageclf"
FILES = sorted(SOURCE.rglob("*.py"))
FLOORS = {
    "imageclf": -1,
    "formats": -1,
    "schedule": 0,
    "machine": 0,
    "data": 1,
    "model": 1,
    "analysis": 1,
    "callbacks": 2,
}
TOP = 3


def part_of(module: str) -> str:
    """Return the package, or single module, right below imageclf."""
    return ([*module.split("."), ""])[1] or "imageclf"


def floor_of(part: str) -> int:
    return FLOORS.get(part, TOP)


def module_of(path: Path) -> str:
    return ".".join(["imageclf", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")


def imports_of(source: str) -> list[str]:
    """Return every imported module, also those imported inside functions."""
    modules = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide their floor"
            modules.append(node.module or "")
    return modules


def imports_by_floor(*floors: int) -> list[tuple[Path, str]]:
    files = [path for path in FILES if floor_of(part_of(module_of(path))) in floors]
    return [(path, module) for path in files for module in imports_of(path.read_text(encoding="utf-8"))]


def forbidden(importer: str, imported: str) -> bool:
    """Return whether an import goes upwards or sideways; the top floor is one part."""
    if imported.split(".")[0] != "imageclf":
        return False
    here, there = part_of(importer), part_of(imported)
    if here == there or floor_of(here) == floor_of(there) == TOP:
        return False
    return floor_of(there) >= floor_of(here)


def test_the_source_is_found():
    assert len(FILES) > 50
    assert {part_of(module_of(path)) for path in FILES} >= set(FLOORS)


@pytest.mark.parametrize(
    ("importer", "imported", "expected"),
    [
        ("imageclf.callbacks.tta", "imageclf.data", False),
        ("imageclf.runs.build", "imageclf.configs", False),
        ("imageclf.schedule.phase", "imageclf", False),
        ("imageclf.data.table", "imageclf.data.names", False),
        ("imageclf.data.table", "numpy", False),
        ("imageclf.data.loading", "imageclf.machine", False),
        ("imageclf.machine", "imageclf.data", True),
        ("imageclf.data.table", "imageclf.model", True),
        ("imageclf.model.module", "imageclf.analysis.scores", True),
        ("imageclf.schedule.phase", "imageclf.data", True),
        ("imageclf.analysis.report", "imageclf.callbacks.report", True),
        ("imageclf.callbacks.tta", "imageclf.worker", True),
    ],
)
def test_an_import_upwards_or_sideways_is_told_from_one_downwards(importer, imported, expected):
    assert forbidden(importer, imported) is expected


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_module_imports_only_from_floors_below(path):
    importer = module_of(path)
    assert [name for name in imports_of(path.read_text(encoding="utf-8")) if forbidden(importer, name)] == []


def test_no_module_is_called_utils():
    assert [path for path in FILES if {"utils", "utils.py", "helpers", "helpers.py"} & set(path.parts)] == []


def test_lightning_is_imported_under_its_own_name_only():
    imported = {module.split(".")[0] for _, module in imports_by_floor(-1, 0, 1, 2, TOP)}
    assert "lightning" in imported
    assert not imported & {"pytorch_lightning", "lightning_fabric"}


def test_schedule_and_machine_need_nothing_but_the_standard_library():
    imported = {module.split(".")[0] for _, module in imports_by_floor(0)}
    assert "dataclasses" in imported
    assert imported - set(sys.stdlib_module_names) == {"imageclf"}


def test_the_analysis_imports_neither_torch_nor_lightning():
    imported = {module.split(".")[0] for path, module in imports_by_floor(1) if "analysis" in path.parts}
    assert "numpy" in imported
    assert not imported & {"torch", "lightning", "timm"}


def test_only_the_top_floor_knows_hydra():
    below = {module.split(".")[0] for _, module in imports_by_floor(-1, 0, 1, 2)}
    assert "torch" in below
    assert not below & {"hydra", "omegaconf"}


@pytest.fixture(scope="module")
def loaded_by_mains() -> set[str]:
    """Return the packages that are loaded once every main is imported, as --help and Tab do."""
    mains = [path.stem for path in FILES if "@hydra.main" in path.read_text(encoding="utf-8")]
    assert len(mains) >= 4
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
