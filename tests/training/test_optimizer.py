"""When the optimizer is the fused one."""

import pytest
import torch

from imageclf.model.module import can_fuse
from imageclf.training.parts.module import build_module, build_optimizer

ADAMW, SGD, LAMB = "torch.optim.AdamW", "torch.optim.SGD", "timm.optim.Lamb"


def groups() -> list[dict]:
    return [{"params": [torch.nn.Parameter(torch.ones(3))]}]


def function_of_mine(groups: list[dict], fused: bool = False) -> torch.optim.Optimizer:
    """Build what a user's function builds."""
    assert not fused
    return torch.optim.SGD(groups, lr=1.0)


@pytest.mark.parametrize(
    ("kind", "precision", "clips", "expected"),
    [
        ("cuda", "bf16-mixed", False, True),
        ("cuda", "bf16-mixed", True, False),
        ("cuda", "16-mixed", False, False),
        ("cuda", "32-true", False, True),
        ("cuda", "32-true", True, True),
        ("mps", "32-true", False, False),
        ("cpu", "32-true", False, False),
        ("cpu", "bf16-mixed", False, False),
    ],
)
def test_a_fused_step_is_for_cuda_where_lightning_can_still_clip(kind, precision, clips, expected):
    assert can_fuse(kind, precision, clips) is expected


@pytest.mark.parametrize("target", [ADAMW, SGD, "torch.optim.Adam"])
def test_optimizers_that_have_it_are_fused(target):
    built = build_optimizer({"_target_": target, "lr": 0.1}, groups(), fused=True)
    assert built.defaults["fused"] is True


@pytest.mark.parametrize("target", [ADAMW, SGD])
def test_nothing_is_said_where_it_is_not_possible(target):
    assert build_optimizer({"_target_": target, "lr": 0.1}, groups()).defaults["fused"] is None


@pytest.mark.parametrize("key", ["fused", "foreach"])
@pytest.mark.parametrize("value", [True, False])
def test_what_the_user_says_of_it_wins(key, value):
    built = build_optimizer({"_target_": ADAMW, key: value}, groups(), fused=True)
    assert built.defaults[key] is value
    assert built.defaults["fused"] is (value if key == "fused" else None)


@pytest.mark.parametrize("target", [LAMB, "torch.optim.Adagrad", f"{__name__}.function_of_mine"])
def test_what_may_have_none_is_built_without(target):
    built = build_optimizer({"_target_": target}, groups(), fused=True)
    assert not built.defaults.get("fused")


class FakeTrainer:
    """What a module asks its Trainer."""

    precision = "bf16-mixed"
    gradient_clip_val = None


@pytest.mark.parametrize(("device", "asked"), [("cpu", []), ("meta", [True])])
def test_the_module_asks_for_it_where_its_weights_are(device, asked, parsed, monkeypatch):
    # No kind but CUDA is fused, and there may be none here: another one stands for it.
    monkeypatch.setattr("imageclf.model.module.can_fuse", lambda kind, *rest: kind == "meta")
    module, _ = build_module(parsed("model.backbone=test_resnet").model, {"a": 1, "b": 1}, {32})
    noted: list[bool] = []

    def note(groups: list[dict], fused: bool = False) -> torch.optim.Optimizer:
        noted.extend([fused] if fused else [])
        return torch.optim.SGD(groups)

    module._optimizer = note
    module._trainer = FakeTrainer()
    module.to(device).configure_optimizers()
    assert noted == asked


@pytest.mark.parametrize("target", [ADAMW, SGD, LAMB, "torch.optim.RAdam"])
def test_a_step_on_the_cpu_asks_cuda_nothing(target, monkeypatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("CUDA was asked")

    monkeypatch.setattr(torch.accelerator, "current_accelerator", refuse)
    one = groups()
    one[0]["params"][0].grad = torch.ones(3)
    optimizer = build_optimizer({"_target_": target, "lr": 0.1}, one)
    optimizer.step()
    assert not torch.equal(one[0]["params"][0], torch.ones(3))


def test_a_state_of_the_fused_step_goes_on_in_the_plain_one():
    """A run of a GPU may go on elsewhere, and the other way round."""
    for first, second in ((True, None), (None, True)):
        results = []
        for fused in (second, first):
            one = groups()
            one[0]["params"][0].grad = torch.full((3,), 0.5)
            begun = build_optimizer({"_target_": ADAMW, "lr": 0.1, "fused": first}, one)
            begun.step()
            gone_on = build_optimizer({"_target_": ADAMW, "lr": 0.1, "fused": fused}, one)
            gone_on.load_state_dict(begun.state_dict())
            gone_on.step()
            results.append(one[0]["params"][0].detach())
        torch.testing.assert_close(*results)
