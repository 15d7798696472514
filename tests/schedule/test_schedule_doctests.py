import doctest
import pkgutil
from importlib import import_module

import imageclf.schedule


def test_the_examples_in_the_docstrings_hold():
    names = [module.name for module in pkgutil.iter_modules(imageclf.schedule.__path__)]
    modules = [import_module(f"imageclf.schedule.{name}") for name in names]
    results = [doctest.testmod(module) for module in modules]
    assert len(results) >= 5
    assert sum(result.attempted for result in results) >= 6
    assert sum(result.failed for result in results) == 0
