"""How a function of Python calls a command: its overrides, and the state of the process around it."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from lightning.pytorch.utilities.seed import isolate_rng

from imageclf import InputError
from imageclf.configs.quoting import typed
from imageclf.training.logs import quiet

Override = str | Mapping[str, object]
"""KEY=VALUE as on the command line, or values by dotted key."""

# A call may make another, so the thread that has the turn keeps it.
_turn = threading.RLock()


def arguments(overrides: Sequence[Override], values: Mapping[str, object]) -> list[str]:
    """Return the overrides of a call, given by position and by name, as words of a command line.

    Raises:
        InputError: one is a flag, or has a value that a config cannot hold.
    """
    words: list[str] = []
    for each in overrides:
        if not isinstance(each, str):
            words += [typed(key, value) for key, value in each.items()]
        elif each.startswith("-"):
            raise InputError(
                f"{each} is a flag of the command line: give KEY=VALUE in Python; a sweep is a loop over "
                "calls, or imageclf-train -m"
            )
        else:
            words.append(each)
    return words + [typed(key, value) for key, value in values.items()]


@contextmanager
def process_as_found() -> Iterator[None]:
    """Restore afterwards what a run changes of the process: random generators, variables, torch's modes.

    Threads take turns: those of a web server would otherwise see each other's state, and a run's network
    while another thread loads its weights.
    """
    with _turn, _restoring():
        yield


@contextmanager
def _restoring() -> Iterator[None]:
    variables, precision = dict(os.environ), torch.get_float32_matmul_precision()
    exact, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    try:
        with isolate_rng(), quiet():
            yield
    finally:
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn
        torch.use_deterministic_algorithms(exact, warn_only=warns)
        torch.set_float32_matmul_precision(precision)
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)
