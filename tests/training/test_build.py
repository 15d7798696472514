"""From a checked config to the objects of a run: what is refused, and the order of the callbacks."""

import ast
import inspect
from dataclasses import replace

import lightning as pl
import pytest
import torch
from lightning.pytorch.strategies import DDPStrategy

from imageclf import InputError
from imageclf.configs import instantiate
from imageclf.schedule import Phase, RunState, Schedule
from imageclf.training.build import build_callbacks, build_parts, build_trainer
from imageclf.training.check_values import RESERVED, check_callbacks
from imageclf.training.parts.module import build_module
from imageclf.training.parts.table import read_table

NODES = {
    name: {} for name in ("unfreezing", "warm_restarts", "precompute", "progressive_resizing", "lr_finder")
}


class Bell(pl.Callback):
    """A user's own callback."""


def large(picture):
    """Return a picture as it is: a transform that takes large ones alone."""
    assert len(picture) >= 64, f"{len(picture)} pixels are too few"
    return picture


def without(*names: str) -> dict:
    return {name: node for name, node in NODES.items() if name not in names}


@pytest.mark.parametrize("name", ["unfreezing", "warm_restarts"])
def test_a_callback_that_is_what_the_schedule_means_cannot_be_removed(name):
    with pytest.raises(InputError) as refused:
        check_callbacks(without(name), Schedule({"head": Phase(lr=1e-3)}))
    assert str(refused.value) == f"~callbacks.{name}: it is what the schedule means and cannot be removed"


@pytest.mark.parametrize("name", ["unfreezing", "warm_restarts", "lr_finder"])
def test_a_callback_that_is_null_counts_as_removed(parsed, name):
    with pytest.raises(InputError, match=f"~callbacks.{name}"):
        parsed(f"callbacks.{name}=null", "schedule.phases.head.lr=auto")


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("lr_finder", Phase(lr="auto")),
        ("precompute", Phase(lr=1e-3, precompute=True, augment=False)),
        ("progressive_resizing", Phase(lr=1e-3, size=64)),
    ],
)
def test_a_callback_that_a_phase_asks_for_cannot_be_removed(name, phase):
    with pytest.raises(InputError) as refused:
        check_callbacks(without(name), Schedule({"plain": Phase(lr=1e-3), "asking": phase}))
    said = f"~callbacks.{name}: phase asking asks for it; change schedule.phases.asking first"
    assert str(refused.value) == said


@pytest.mark.parametrize("name", ["lr_finder", "precompute", "progressive_resizing"])
def test_a_callback_that_no_phase_asks_for_can_be_removed(name):
    assert check_callbacks(without(name), Schedule({"plain": Phase(lr=1e-3)})) is None


def test_callbacks_run_in_an_order_of_their_own(parsed, tmp_path):
    given = parsed(f"+callbacks.bell._target_={__name__}.Bell")
    backwards = replace(given, callbacks=dict(reversed(given.callbacks.items())))
    forwards, turned = (
        [type(each) for each in build_callbacks(each, RunState(), tmp_path)] for each in (given, backwards)
    )
    assert forwards == turned


def test_the_users_callbacks_come_before_those_that_save_and_end_the_run(parsed, tmp_path):
    given = parsed(f"+callbacks.bell._target_={__name__}.Bell")
    built = build_callbacks(given, RunState(), tmp_path)
    names = [type(each).__name__ for each in built]
    assert names[0] == "Reproducible"
    saving = ["History", "Ema", "PhaseAverage", "Snapshots", "Checkpoint"]
    assert names[-10:] == ["FitVerdict", "Bell", *saving, "Plan", "Summary", "Report"]


def test_a_search_goes_without_plan_summary_and_report(parsed, tmp_path):
    given = parsed()
    built = build_callbacks(given, RunState(), tmp_path, ends=False)
    assert not {type(each).__name__ for each in built} & {"Plan", "Summary", "Report"}


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("max_epochs", "epochs follow from schedule.phases.NAME.n_cycles, cycle_len and cycle_mult"),
        ("min_epochs", "epochs follow from the schedule"),
        ("max_steps", "trainer.limit_train_batches"),
        ("callbacks", "add nodes to callbacks"),
        ("logger", "logger=csv|tensorboard|wandb|mlflow|many"),
        ("default_root_dir", "hydra.run.dir=PATH"),
        ("enable_checkpointing", "callbacks.checkpoint"),
        ("use_distributed_sampler", "its own sampler"),
        ("reload_dataloaders_every_n_epochs", "follows the schedule"),
        ("num_sanity_val_steps", "checked before training"),
        ("check_val_every_n_epoch", "every epoch is validated"),
        ("max_time", "a signal ends and saves a run"),
        ("val_check_interval", "at its end"),
    ],
)
@pytest.mark.sampled(4)
def test_what_the_program_sets_itself_is_refused_with_what_to_use_instead(key, remedy, parsed):
    with pytest.raises(InputError) as refused:
        parsed(f"+trainer.{key}=3")
    assert str(refused.value).startswith(f"trainer.{key}=3: ")
    assert remedy in str(refused.value)


def test_everything_that_the_program_sets_itself_is_refused():
    (call,) = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(build_trainer)))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "instantiate"
    ]
    assert {keyword.arg for keyword in call.keywords} <= set(RESERVED)


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed", "ddp_spawn", "dp"])
@pytest.mark.sampled(2)
def test_a_strategy_that_is_not_tested_is_refused(strategy, parsed):
    with pytest.raises(InputError) as refused:
        parsed(f"+trainer.strategy={strategy}")
    assert str(refused.value).startswith(f"trainer.strategy={strategy}: give ddp or auto")


def test_a_value_that_lightning_refuses_is_one_sentence(parsed, tmp_path):
    with pytest.raises(InputError, match=r"^trainer: .*1\.5 for limit_train_batches") as refused:
        build_trainer(parsed("+trainer.limit_train_batches=1.5").trainer, 3, tmp_path, [])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("trainer.precision=bf16-true", "trainer.precision=bf16-true: give auto, 32-true"),
        ("trainer.accelerator=tpu", "trainer.accelerator=tpu: give one of auto, cpu"),
        ("trainer.deterministic=maybe", "trainer.deterministic=maybe: give one of auto, true"),
        ("trainer.precision=16-mixed", "trainer.precision=16-mixed: a CPU does not train in float16"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_any_picture_is_read(override, sentence, parsed):
    with pytest.raises(InputError) as refused:
        parsed("trainer=cpu", override)
    assert str(refused.value).startswith(sentence)


def test_the_trainer_gets_no_auto(parsed, tmp_path):
    trainer = build_trainer(parsed("trainer=cpu").trainer, 3, tmp_path, [])
    assert (trainer.precision, trainer.strategy.root_device.type) == ("32-true", "cpu")
    assert torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize("given", ["bf16", "bf16-mixed"])
def test_short_forms_of_a_precision_are_taken_without_a_warning(given, parsed, tmp_path):
    trainer = build_trainer(parsed("trainer=cpu", f"trainer.precision={given}").trainer, 3, tmp_path, [])
    assert trainer.precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("+trainer.limit_train_batches=2", "limit_train_batches", 2),
        ("+trainer.limit_val_batches=1", "limit_val_batches", 1),
        ("+trainer.fast_dev_run=true", "fast_dev_run", True),
        ("trainer.accumulate_grad_batches=2", "accumulate_grad_batches", 2),
        ("trainer.gradient_clip_val=0.5", "gradient_clip_val", 0.5),
    ],
)
@pytest.mark.sampled(2)
def test_the_rest_of_the_trainer_is_the_users(override, name, value, parsed, tmp_path):
    assert getattr(build_trainer(parsed(override).trainer, 3, tmp_path, []), name) == value


def test_the_trainer_takes_the_schedules_epochs(parsed, tmp_path):
    assert build_trainer(parsed().trainer, 7, tmp_path, []).max_epochs == 7


def test_ranks_wrap_the_module_themselves(parsed, tmp_path):
    assert isinstance(build_trainer(parsed("trainer=ddp").trainer, 1, tmp_path, []).strategy, DDPStrategy)


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ({"a": Phase()}, {128}),
        ({"a": Phase(), "b": Phase(size=160)}, {128, 160}),
        ({"a": Phase(size=64), "b": Phase(size=64)}, {64}),
        ({"a": Phase(n_cycles=2, size=[64, 96]), "b": Phase()}, {64, 96, 128}),
    ],
)
def test_the_sizes_of_a_run_are_those_of_its_phases(phases, expected):
    assert Schedule(phases).sizes(128) == expected


def test_an_architecture_of_one_size_is_refused_several(parsed):
    with pytest.raises(InputError) as refused:
        build_module(parsed("model.backbone=test_coatnet").model, {"a": 1, "b": 1}, {160, 128})
    assert (
        "model.backbone=test_coatnet takes pictures of one size only, and the schedule has 128, 160"
        in str(refused.value)
    )


@pytest.mark.parametrize(
    ("backbone", "all_sizes"), [("test_coatnet", {128}), ("test_vit", {64, 96}), ("test_resnet", {64, 96})]
)
def test_one_size_suits_all_and_several_suit_those_that_are_made_for_it(backbone, all_sizes, parsed):
    module, _ = build_module(parsed(f"model.backbone={backbone}").model, {"a": 1, "b": 1}, all_sizes)
    assert module.classes == ("a", "b")


def test_a_head_of_the_users_own_is_built(parsed):
    node = parsed("model.head._target_=imageclf.model.FastaiHead", "+model.head.hidden=8").model
    module, _ = build_module(node, {"a": 1, "b": 1, "c": 1}, {32})
    assert [layer.out_features for layer in module.model.head if hasattr(layer, "out_features")] == [8, 3]


def test_an_optimizer_of_the_users_own_is_built(parsed):
    node = parsed("model.optimizer._target_=torch.optim.SGD", "+model.optimizer.momentum=0.9").model
    module, _ = build_module(node, {"a": 1, "b": 1}, {32})
    optimizer = module.configure_optimizers()
    assert type(optimizer).__name__ == "SGD"
    assert {group["momentum"] for group in optimizer.param_groups} == {0.9}


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("schedule.phases.head.n_cycles=0", "schedule.phases.head.n_cycles=0: give a number from 1"),
        ("schedule.phases.head.unfreeze_to=tail", "schedule.phases.head.unfreeze_to=tail: there is no such"),
        ("schedule.phases.finetune.lr=[1e-3, 1e-2]", "schedule.phases.finetune.lr=[0.001, 0.01]"),
        ("model.groups=40", "model.groups=40: this backbone allows 2 to "),
        ("model.backbone=resnt34", "model.backbone=resnt34: neither timm nor conf/model has it"),
        ("data.batch_size=0", "data.batch_size=0: give a number from 1 to 65536"),
        ("data.split=sorted", "data.split=sorted: give stratified, random or fastai"),
        ("transforms.max_zoom=0.5", "transforms.max_zoom=0.5: give a number from 1 to 10"),
        (
            "transforms._target_=argparse.Namespace",
            "transforms._target_=argparse.Namespace gives a N",
        ),
    ],
)
@pytest.mark.sampled(3)
def test_a_value_out_of_range_is_refused_by_its_key(override, sentence, parsed):
    with pytest.raises(InputError) as refused:
        given = parsed(override)
        build_parts(given, read_table(given.data, verify=False))
    assert str(refused.value).startswith(sentence)


def test_a_transform_that_returns_no_picture_is_refused_before_a_phase_augments(parsed):
    given = parsed("transforms.extra={_target_: numpy.sqrt, _partial_: true}")
    with pytest.raises(InputError, match=r"^transforms\.extra returns ndarray .* of float16, not an array"):
        build_parts(given, read_table(given.data, verify=False))


def test_a_transform_is_tried_at_a_size_that_is_augmented(parsed):
    own = f"transforms.extra={{_target_: {__name__}.large, _partial_: true}}"
    given, phase = parsed(own), Phase(lr=1e-3, unfreeze_to=0, size=32)
    plain = {"start": replace(phase, augment=False), "tune": replace(phase, size=64)}
    build_parts(replace(given, schedule=Schedule(plain)), read_table(given.data, verify=False))
    with pytest.raises(AssertionError, match="32 pixels are too few"):
        build_parts(replace(given, schedule=Schedule({"tune": phase})), read_table(given.data, verify=False))


def test_what_the_program_hands_to_a_callback_arrives_as_itself(parsed):
    given = parsed()
    built = instantiate(given.callbacks["unfreezing"], "callbacks.unfreezing", schedule=given.schedule)
    assert built._schedule is given.schedule
