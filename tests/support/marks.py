"""Which cases of a test run in `make test`, and which in `make test-all` alone."""

from collections.abc import Iterable
from typing import Any

import pytest


def every(step: int, cases: Iterable[Any]) -> list[Any]:
    """Mark as long all but every `step`-th case, the first one included; a tuple is several arguments."""
    return [case if number % step == 0 else _long(case) for number, case in enumerate(cases)]


def only(short: Iterable[Any], cases: Iterable[Any]) -> list[Any]:
    """Mark as long all cases but those that are named."""
    kept = list(short)
    return [case if case in kept else _long(case) for case in cases]


def _long(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.long)
