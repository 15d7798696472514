"""trainer.sync_batchnorm: which norms it converts, and where it is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from imageclf import InputError
from imageclf.configs import to_plain
from imageclf.data import Table
from imageclf.model.groups import freeze_to
from imageclf.model.module import ClassifierModule
from imageclf.training.build import build_parts, build_trainer
from imageclf.training.parts.accelerator import choose, read_device
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse

SYNC = "trainer.sync_batchnorm=true"


@pytest.fixture(scope="module")
def config(composed, tiny) -> Callable[..., RunConfig]:
    """Return a function that parses a training of a network whose norms are timm's, with their activation."""
    return lambda *typed: parse(
        to_plain(composed(*tiny, "model.backbone=test_efficientnet", *typed)), RunConfig
    )


@pytest.fixture(scope="module")
def modules(config) -> tuple[ClassifierModule, ClassifierModule]:
    """The same network with norms of a rank, and with those of all ranks."""
    table: Table = read_table(config().data, verify=False)
    made = []
    for typed in ([], [SYNC]):
        torch.manual_seed(0)
        made.append(build_parts(config(*typed), table).module)
    return made[0], made[1]


def norms(module: nn.Module) -> dict[str, nn.Module]:
    """Return the batch norms by name."""
    return {
        name: part
        for name, part in module.named_modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    }


def test_every_batch_norm_is_converted(modules) -> None:
    own, shared = map(norms, modules)
    assert own.keys() == shared.keys()
    assert not any(isinstance(each, nn.SyncBatchNorm) for each in own.values())
    assert all(isinstance(each, nn.SyncBatchNorm) for each in shared.values())


def test_checkpoints_and_layer_groups_are_those_of_the_network_without(modules) -> None:
    own, shared = modules
    assert [*own.state_dict()] == [*shared.state_dict()]
    assert own.groups == shared.groups


def test_the_activations_stay_in_the_norms(modules) -> None:
    pictures = torch.rand(4, 3, 32, 32)
    outputs = [module.eval().model.backbone(pictures) for module in modules]
    assert torch.equal(*outputs)


def test_a_frozen_group_keeps_its_statistics_without_asking_other_ranks(modules) -> None:
    module = modules[1]
    freeze_to(module.model, module.groups, len(module.groups.names) - 1, train_bn=True)
    body = norms(module.model.backbone)
    assert not any(norm.training for norm in body.values())


@pytest.mark.parametrize("devices", [1, 2])
def test_several_ranks_on_a_cpu_are_refused_and_one_needs_nothing(config, devices: int) -> None:
    node = {**config(SYNC).trainer, "devices": devices}
    if devices == 1:
        assert choose(node, read_device(node)).accelerator == "cpu"
        return
    with pytest.raises(InputError, match="sync_batchnorm=true: torch synchronises batch norm between GPUs"):
        choose(node, read_device(node))


def test_the_trainer_does_not_convert_again(config, tmp_path: Path) -> None:
    trainer = build_trainer(config(SYNC).trainer, 1, tmp_path, [])
    assert trainer._accelerator_connector._layer_sync is None
