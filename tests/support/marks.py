"""Which cases of a test run in `make test`, and which in `make test-all` alone."""

from collections.abc import Container, Iterable
from typing import Any

import pytest


def only(short: Container[Any], cases: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Mark as long all cases but the short ones."""
    return [case if case in short else pytest.param(*case, marks=pytest.mark.long) for case in cases]
