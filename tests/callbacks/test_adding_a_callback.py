"""A new callback outside the package is its module and its YAML: no list in the program has to name it."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imageclf import InputError
from imageclf.schedule import Phase, Schedule
from imageclf.training import check_values

MODULE = '''
import json

import torch

from imageclf.callbacks import Callback
from imageclf.callbacks.callback import Order


class GradientNorms(Callback):
    """Write down how large the gradients of some steps are."""

    order = Order.GUARD

    def __init__(self, run_dir, every_n_steps):
        self._path = run_dir / "gradient_norms.json"
        self._every_n_steps = every_n_steps
        self._norms = []

    @classmethod
    def is_needed_by(cls, phase):
        return phase.layer_decay is not None

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step % self._every_n_steps == 0:
            gradients = [each.grad for each in pl_module.parameters() if each.grad is not None]
            self._norms.append(float(torch.nn.utils.get_total_norm(gradients)))

    def on_train_end(self, trainer, pl_module):
        order = [type(each).__name__ for each in trainer.callbacks]
        self._path.write_text(json.dumps({"norms": self._norms, "order": order}))
'''
YAML = """
gradient_norms:
  _target_: gradient_norms.GradientNorms
  every_n_steps: 2
"""


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of configs that name a callback of a new module."""
    (tmp_path / "gradient_norms.py").write_text(MODULE)
    (tmp_path / "conf" / "callbacks").mkdir(parents=True)
    (tmp_path / "conf" / "callbacks" / "gradient_norms.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "conf"
    sys.modules.pop("gradient_norms", None)


def test_a_callback_is_added_by_its_module_and_its_yaml(
    added: Path, tiny: list[str], command: Callable[..., Any], tmp_path: Path
) -> None:
    typed = [f"--config-dir={added}", *tiny, "callbacks=[default,gradient_norms]", "~callbacks.report"]
    outcome = command("train", *typed, f"hydra.run.dir={tmp_path}/run")
    assert outcome.code == 0, outcome.err
    written = json.loads((tmp_path / "run" / "gradient_norms.json").read_text())
    assert len(written["norms"]) == 3
    assert min(written["norms"]) > 0
    # Where its class says: among those that prepare and check a step, before the user's own and history.
    places = [written["order"].index(name) for name in ("WarmRestarts", "GradientNorms", "TTA", "History")]
    assert places == sorted(places)


def test_its_keys_are_checked_like_those_of_any_other(
    added: Path, tiny: list[str], command: Callable[..., Any]
) -> None:
    typed = [f"--config-dir={added}", *tiny, "callbacks=[default,gradient_norms]"]
    outcome = command("train", *typed, "+callbacks.gradient_norms.every_n_step=1")
    (mistake,) = outcome.mistakes
    assert "callbacks.gradient_norms.every_n_step" in mistake


def test_a_phase_that_needs_it_refuses_to_go_without_it(added: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As where its class stands in the package; the import is what that would take.
    from gradient_norms import GradientNorms  # type: ignore[import-not-found]

    monkeypatch.setattr(check_values, "OUR_CALLBACKS", [*check_values.OUR_CALLBACKS, GradientNorms])
    nodes: dict[str, Any] = {"unfreezing": {}, "warm_restarts": {}}
    plain, decayed = Phase(lr=1e-3), Phase(lr=1e-3, layer_decay=0.5)
    check_values.check_callbacks(nodes, Schedule({"plain": plain}))
    with pytest.raises(InputError, match=r"^~callbacks\.gradient_norms: phase decayed asks for it"):
        check_values.check_callbacks(nodes, Schedule({"plain": plain, "decayed": decayed}))
    check_values.check_callbacks(nodes | {"gradient_norms": {}}, Schedule({"decayed": decayed}))
