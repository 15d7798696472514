"""A trial leaves the generators as they were, on the module's own device and on no other."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from imageclf.evaluation.preserve import preserved


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(1))]


def trial(module: torch.nn.Module) -> None:
    with preserved(module, torch.optim.SGD(module.parameters(), lr=1.0)):
        draws()


def test_every_generator_draws_as_if_there_had_been_no_trial():
    module = torch.nn.Linear(2, 2)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    expected = draws()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    trial(module)
    assert draws() == expected


def refuse(*arguments: object) -> None:
    raise AssertionError("CUDA was asked")


def test_a_trial_on_the_cpu_asks_cuda_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_rng_state", "get_rng_state_all", "set_rng_state", "set_rng_state_all"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    trial(torch.nn.Linear(2, 2))


def test_a_trial_on_a_device_keeps_the_generator_of_that_device(monkeypatch: pytest.MonkeyPatch) -> None:
    # The meta device stands for one that draws by itself.
    asked: list[tuple[str, object]] = []
    own = SimpleNamespace(
        get_rng_state=lambda device: asked.append(("get", device)) or "state",
        set_rng_state=lambda state, device: asked.append((state, device)),
    )
    monkeypatch.setattr("imageclf.evaluation.preserve._WITH_GENERATORS", ("meta",))
    monkeypatch.setattr(torch, "get_device_module", lambda device: own)
    trial(torch.nn.Linear(2, 2, device="meta"))
    assert asked == [("get", torch.device("meta")), ("state", torch.device("meta"))]
