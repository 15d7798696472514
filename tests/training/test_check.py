"""The check of a composed config: what it refuses, with which sentence, and what it lets pass."""

from dataclasses import dataclass

import lightning as pl
import pytest

from imageclf import InputError
from imageclf.commands.lr_find import LrFindConfig
from imageclf.commands.predict_options import PredictOptions
from imageclf.configs import to_plain
from imageclf.configs.keys import unknown_key
from imageclf.configs.options import Offered
from imageclf.schedule import RunState
from imageclf.training.build import build_callbacks
from imageclf.training.check_keys import check
from imageclf.training.run_config import RunConfig, parse

EARLY = "lightning.pytorch.callbacks.EarlyStopping"


class Bell(pl.Callback):
    """A user's own callback."""

    def __init__(self, every: int, schedule: object, volume: float = 1.0) -> None:
        self.every = every


def ring(times: int) -> None:
    """A function stands for a user's own part."""


@pytest.fixture
def config(composed, tiny):
    return lambda *overrides: to_plain(composed(*tiny, *overrides))


def refusal(config) -> str:
    with pytest.raises(InputError) as refused:
        check(config, RunConfig)
    return str(refused.value)


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("+seeed=1", "seeed", "seed"),
        ("+modle=lite0", "modle", "model"),
        ("+data.sise=32", "data.sise", "data.size"),
        ("+data.rooot=x", "data.rooot", "data.root"),
        ("+data.split_sed=3", "data.split_sed", "data.split_seed"),
        ("+transforms.max_zom=2", "transforms.max_zom", "transforms.max_zoom"),
        ("+model.weight=hub", "model.weight", "model.weights"),
        ("+model.head.droput=0.1", "model.head.droput", "model.head.dropout"),
        ("+model.optimizer.wieght_decay=1", "model.optimizer.wieght_decay", "model.optimizer.weight_decay"),
        ("+model.loss.label_smothing=1", "model.loss.label_smothing", "model.loss.label_smoothing"),
        ("+model.class_weight=sqrt", "model.class_weight", "model.class_weights"),
        ("+metric.f1=1", "metric", "metrics"),
        ("+schedule.phase=1", "schedule.phase", "schedule.phases"),
        (
            "+schedule.phases.head.cyle_len=2",
            "schedule.phases.head.cyle_len",
            "schedule.phases.head.cycle_len",
        ),
        ("+callbacks.tta.num_augmnted=2", "callbacks.tta.num_augmnted", "callbacks.tta.num_augmented"),
        ("+analysis.submision=labels", "analysis.submision", "analysis.submission"),
        ("+trainer.precison=32", "trainer.precison", "trainer.precision"),
        ("+trainer.limit_train_batch=2", "trainer.limit_train_batch", "trainer.limit_train_batches"),
        ("++trainer.devces=2", "trainer.devces", "trainer.devices"),
    ],
)
@pytest.mark.sampled(4)
@pytest.mark.fault(
    "Configs and secrets", "A key is misspelt, also after `+`", "It is refused, with the nearest one"
)
def test_a_misspelt_key_is_refused_with_the_nearest_one(config, override, key, nearest):
    assert refusal(config(override)) == f"{key}: there is no such key; did you mean {nearest}?"


def test_a_key_in_the_wrong_node_is_refused_with_the_right_one(config):
    assert refusal(config("+batch_size=4")).endswith("did you mean data.batch_size?")


def test_a_key_like_no_other_is_refused_with_those_that_are_legal(config):
    assert refusal(config("+model.zzz=1")).endswith(
        "model takes backbone, channels_last, class_weights, compile, drop_path_rate, groups, head, loss, "
        "mixing, optimizer, weights"
    )


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seed=first", "seed=first: give a whole number"),
        ("seed=null", "seed=null: give a whole number"),
        (
            "data.size=[32]",
            "data.size=[32]: give a whole number from 1 to 8192, pixels a side, or height and width as "
            "[128, 256] or 128x256",
        ),
        ("data.resize=crp", "data.resize=crp: give crop, squish, pad or random_resized_crop"),
        ("data.fold=last", "data.fold=last: give a whole number or null"),
        ("transforms.dihedral=2", "transforms.dihedral=2: give true or false"),
        ("transforms.max_rotate=far", "transforms.max_rotate=far: give a number"),
        ("model.groups=2.5", "model.groups=2.5: give a whole number"),
        ("model.channels_last=1", "model.channels_last=1: give true or false or auto"),
        ("model.head.dropout=high", "model.head.dropout=high: give a number"),
        ("model.weights=null", "model.weights=null: give hub, packaged, none or text"),
        ("model.optimizer.weight_decay=null", "model.optimizer.weight_decay=null: give a number"),
        ("++trainer.num_nodes=1.5", "trainer.num_nodes=1.5: give a whole number or null"),
        (
            "++trainer.accumulate_grad_batches=two",
            "trainer.accumulate_grad_batches=two: give a whole number or null",
        ),
        (
            "model.class_weights=even",
            "model.class_weights=even: give none, balanced, sqrt or a list (of a number)",
        ),
        (
            "+metrics.top={_target_: torchmetrics.classification.MulticlassAccuracy, min_classes: few}",
            "metrics.top.min_classes=few: give a whole number",
        ),
        ("schedule.phases.head.augment=3", "schedule.phases.head.augment=3: give true or false"),
        (
            "schedule.phases.head.lr=valley",
            "schedule.phases.head.lr=valley: give a number, a list (of a number) or auto",
        ),
        ("schedule.phases.head.bn=true", "schedule.phases.head.bn=true: give eval or train"),
        ("callbacks.tta.when=never", "callbacks.tta.when=never: give cycle, end or epoch"),
        (
            "callbacks.lr_finder.num_steps=many",
            "callbacks.lr_finder.num_steps=many: give a whole number or null",
        ),
        ("analysis.submission=csv", "analysis.submission=csv: give probabilities, labels or null"),
        ("+schedule.phases.extra=3", "schedule.phases.extra=3: give a mapping of keys"),
        ("schedule.phases=null", "schedule.phases=null: give a mapping"),
    ],
)
@pytest.mark.sampled(4)
@pytest.mark.fault(
    "Configs and secrets", "A value has the wrong type (`lr=abc`)", "It is refused, with what the key takes"
)
def test_a_value_of_a_wrong_type_is_refused_with_what_the_key_takes(config, override, sentence):
    assert refusal(config(override)) == sentence


@pytest.mark.parametrize(
    "key",
    [
        "transforms",
        "callbacks",
        "metrics",
        "trainer",
        "logger",
        "seed",
        "model.head",
        "model.loss",
        "analysis",
    ],
)
@pytest.mark.sampled(4)
def test_a_key_that_is_needed_cannot_be_removed(config, key):
    assert refusal(config(f"~{key}")).startswith(f"{key} is missing")


@pytest.mark.parametrize(
    "override",
    [
        "+schedule.phases.extra={n_cycles: 2}",
        "+schedule.phases.extra={lr: [1e-4, 1e-3, 1e-2], unfreeze_to: body1}",
        "schedule.phases.head.lr=auto",
        "~schedule.phases.head",
        "~callbacks.tta",
        "~callbacks.report",
        "callbacks.tta=null",
        "metrics=all",
        "+metrics.kappa._target_=torchmetrics.classification.MulticlassCohenKappa",
        "+metrics.f1={_target_: torchmetrics.F1Score, task: multiclass, average: macro, min_classes: 3}",
        "+metrics.f1=null",
        "model/loss=bce",
        "model/optimizer=lamb",
        "model.class_weights=[1, 2.5, 3]",
        "callbacks.checkpoint.every_n_minutes=0.5",
        "callbacks.checkpoint.every_n_minutes=null",
        "+trainer.limit_train_batches=2",
        "+trainer.fast_dev_run=true",
        "trainer.devices=[0, 1]",
        "logger=tensorboard",
        "analysis.submission=labels",
        "++model.head={_target_: imageclf.model.FastaiHead, hidden: 64}",
        "++model.optimizer={_target_: torch.optim.SGD, momentum: 0.9}",
        f"+callbacks.early={{_target_: {EARLY}, monitor: val/loss, patience: 2}}",
        f"+callbacks.bell={{_target_: {__name__}.Bell, every: 3}}",
        f"+callbacks.bell={{_target_: {__name__}.ring, times: 3}}",
        "optimized_metric=val/acc_best",
        "ckpt_path=auto",
    ],
)
@pytest.mark.sampled(3)
def test_what_is_legal_passes(config, override):
    assert check(config(override), RunConfig) is None


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            f"+callbacks.early={{_target_: {EARLY}, monitor: val/loss, patiense: 2}}",
            "callbacks.early.patiense: there is no such key; did you mean callbacks.early.patience?",
        ),
        (
            f"+callbacks.bell={{_target_: {__name__}.Bell, evry: 3}}",
            "callbacks.bell.evry: there is no such key; did you mean callbacks.bell.every?",
        ),
        (
            f"+callbacks.bell={{_target_: {__name__}.Bell, every: 3, schedule: x}}",
            "callbacks.bell.schedule: there is no such key; did you mean schedule?",
        ),
        ("+callbacks.checkpoint.notice=3", "callbacks.checkpoint.notice: there is no such key; "),
        (
            "+model.head.in_features=3",
            "model.head.in_features: there is no such key; model.head takes dropout",
        ),
        ("+callbacks.bell=3", "callbacks.bell needs a _target_: the dotted name of a class or function"),
        (
            "+callbacks.bell={every: 3}",
            "callbacks.bell needs a _target_: the dotted name of a class or function",
        ),
        ("+callbacks.bell._target_=torch", "callbacks.bell._target_=torch is neither a class nor a function"),
        (
            "+model.loss.weight=[1, 2, 3]",
            "model.loss.weight: there is no such key; model.loss takes ignore_index, label_smoothing, ",
        ),
        (
            "+metrics.f1={_target_: torchmetrics.F1Score, task: multiclass, num_classes: 3}",
            "metrics.f1.num_classes: there is no such key; ",
        ),
        ("+metrics.f1=macro", "metrics.f1 needs a _target_: the dotted name of a class or function"),
        (
            "+model.optimizer.momentum=0.9",
            "model.optimizer.momentum: there is no such key; model.optimizer takes ",
        ),
    ],
)
@pytest.mark.sampled(3)
def test_a_part_of_the_users_own_is_checked_against_its_signature(config, override, sentence):
    assert refusal(config(override)).startswith(sentence)


class Asking(pl.Callback):
    """A user's own callback that takes all there is to take."""

    def __init__(
        self,
        schedule: object,
        run_dir: object,
        seed: int,
        state: object,
        notice: object,
        lower_is_better: bool,
    ) -> None:
        self.given = [schedule, run_dir, seed, state, notice, lower_is_better]


@pytest.mark.parametrize("name", Offered._fields)
@pytest.mark.sampled(3)
def test_what_the_program_hands_to_a_callback_cannot_be_set(config, name):
    node = f"{{_target_: {__name__}.Asking, {name}: 3}}"
    assert refusal(config(f"+callbacks.asking={node}")).startswith(f"callbacks.asking.{name}: there is no ")


def test_the_program_hands_to_a_callback_exactly_what_a_config_cannot_set(config, tmp_path):
    given = parse(config(f"+callbacks.asking._target_={__name__}.Asking"), RunConfig)
    state = RunState()
    built = build_callbacks(given, state, tmp_path)
    (asking,) = [each for each in built if isinstance(each, Asking)]
    assert len(asking.given) == len(Offered._fields)
    assert asking.given[3] is state
    assert asking.given[1:] == [tmp_path, 42, RunState(), None, False]


@pytest.mark.parametrize("target", ["nowhere.Bell", f"{__name__}.Bel"])
def test_a_target_that_cannot_be_imported_is_named_with_the_reason(config, target):
    sentence = refusal(config(f"+callbacks.bell._target_={target}"))
    assert sentence.startswith(f"callbacks.bell._target_={target} cannot be imported: ")
    assert "\n" not in sentence


def test_the_first_mistake_is_that_of_the_outermost_node(config):
    assert refusal(config("+data.sise=1", "+seeed=2")).startswith("seeed")


def test_lr_find_takes_a_phase_besides(composed, tiny):
    assert check(to_plain(composed(*tiny, "phase=head", name="lr_find")), LrFindConfig) is None


def test_training_takes_no_phase(config):
    assert refusal(config("+phase=head")).startswith("phase: there is no such key")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"batch_size": "big"}, "batch_size=big: give a whole number"),
        ({"weigths": "best"}, "weigths: there is no such key; did you mean weights?"),
        ({"batch_size": 0}, "batch_size=0: give a number from 1 to 65536"),
        ({"num_workers": -2}, "num_workers=-2: give a number from 0 to 1024"),
    ],
)
def test_the_options_of_predict_are_checked_alike(values, sentence):
    options = {
        "run": "r",
        "data": "d",
        "weights": "best",
        "tta": None,
        "num_augmented": 0,
        "beta": None,
        "output": None,
        "batch_size": 4,
        "num_workers": 0,
        "on_error": "raise",
        "column": None,
        "sample": None,
        "overwrite": False,
        "precision": "32-true",
    }
    with pytest.raises(InputError) as refused:
        check(options | values, PredictOptions)
    assert str(refused.value) == sentence


@dataclass(frozen=True)
class Small:
    """Options with a default."""

    name: str
    size: int = 3


def test_a_key_with_a_default_may_be_left_out():
    assert check({"name": "x"}, Small) is None


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("sed", "did you mean seed?"),
        ("data.sied", "did you mean data.size?"),
        ("size", "did you mean data.size?"),
        ("data.zzz", "data takes root, size"),
        ("zzz", "the top level takes data, seed"),
        ("model.zzz", "model takes no keys"),
    ],
)
def test_the_hint_prefers_a_sibling_then_the_same_name_elsewhere_then_all_siblings(key, hint):
    legal = ["seed", "data", "data.size", "data.root", "data._target_", "schedule.phases.head.size"]
    assert str(unknown_key(key, legal)) == f"{key}: there is no such key; {hint}"
