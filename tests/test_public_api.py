"""What each package offers: exactly its __all__, and every name of it with a docstring."""

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "imageclf"
INITS = sorted(SOURCE.rglob("__init__.py"))
MODULES = [".".join(["imageclf", *path.parent.relative_to(SOURCE).parts]) for path in INITS]
PACKAGES = [name for name in MODULES if hasattr(import_module(name), "__all__")]
CALLABLES = [
    (package, name)
    for package in PACKAGES
    for name in import_module(package).__all__
    if callable(getattr(import_module(package), name))
]


def exported(module: ModuleType) -> set[str]:
    """Return the public names of a package but for its own modules."""
    public = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    return {name for name, value in public.items() if not inspect.ismodule(value)}


def test_every_floor_offers_something():
    floors = {"schedule", "data", "model", "callbacks", "configs"}
    assert {name.rpartition(".")[2] for name in PACKAGES} >= floors


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_offers_exactly_what_it_lists(package):
    module = import_module(package)
    assert exported(module) == set(module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_each_name_once(package):
    listed = import_module(package).__all__
    assert len(set(listed)) == len(listed)


@pytest.mark.parametrize("name", MODULES)
def test_a_package_has_a_docstring(name):
    assert (import_module(name).__doc__ or "").strip()


@pytest.mark.parametrize(("package", "name"), CALLABLES, ids=str)
def test_a_public_class_or_function_has_a_docstring_of_its_own(package, name):
    value = getattr(import_module(package), name)
    written = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    # A dataclass or named tuple without one gets its signature.
    assert written.strip()
    assert not written.startswith(f"{name}(")
