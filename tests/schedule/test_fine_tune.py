"""schedule=onecycle is fine_tune of fastai 2: its learning rates and momentum at every step."""

import pytest
import torch
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.callbacks.warm_restarts import set_momentum
from imageclf.schedule import Phase, Schedule

BATCHES = 7
GROUPS = ("body0", "body1", "head")


@pytest.fixture(scope="module")
def schedule(composed) -> Schedule:
    cfg = composed("schedule=onecycle")
    return Schedule.from_plain(OmegaConf.to_container(cfg.schedule.phases, resolve=True))


def rates_of(schedule: Schedule) -> list[list[float]]:
    """Return the learning rates of the groups at every step."""
    positions = [(epoch, batch) for epoch in range(schedule.epochs) for batch in range(BATCHES)]
    return [list(schedule.lrs(GROUPS, *position, BATCHES, {}).values()) for position in positions]


def momenta_of(schedule: Schedule) -> list[float | None]:
    """Return the momentum at every step."""
    positions = [(epoch, batch) for epoch in range(schedule.epochs) for batch in range(BATCHES)]
    return [schedule.momentum(*position, BATCHES) for position in positions]


@pytest.fixture(scope="module")
def fine_tuned():
    """Let fastai fine-tune a model of three groups; return its learning rates and momenta by step."""
    basics = pytest.importorskip("fastai.basics")
    callbacks = pytest.importorskip("fastai.callback.all")

    class Record(callbacks.Callback):
        def __init__(self):
            self.steps = []

        def before_step(self):
            hypers = self.opt.hypers
            self.steps.append(([each["lr"] for each in hypers], hypers[-1]["mom"]))

    pairs = [(torch.rand(2), torch.rand(1)) for _ in range(BATCHES)]
    loaders = basics.DataLoaders(*(basics.DataLoader(pairs, bs=1) for _ in range(2)))
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    record = Record()
    learner = basics.Learner(
        loaders,
        model,
        loss_func=torch.nn.functional.mse_loss,
        cbs=record,
        splitter=lambda model: [list(part.parameters()) for part in model],
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(5)
    return record.steps


@pytest.mark.filterwarnings("ignore")
def test_every_learning_rate_is_fastais(schedule, fine_tuned):
    ours = torch.tensor(rates_of(schedule), dtype=torch.float64)
    theirs = torch.tensor([lrs for lrs, _ in fine_tuned], dtype=ours.dtype)
    # In the frozen epoch fastai's groups below have a rate as well, and no gradient.
    theirs[:BATCHES, :2] = 0
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


@pytest.mark.filterwarnings("ignore")
def test_every_momentum_is_fastais(schedule, fine_tuned):
    assert momenta_of(schedule) == pytest.approx([momentum for _, momentum in fine_tuned], rel=1e-6)


def test_momentum_is_lowest_where_the_rate_is_highest_as_in_torch():
    steps = 400
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    # Torch starts the fall a step before the step whose fraction is pct_start, and ends it at the last.
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps + 1, pct_start=101 / (steps + 1)
    )
    expected = []
    for _ in range(steps):
        expected.append(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        scheduler.step()
    phase = Phase(lr=1.0, shape="onecycle", moms=[0.95, 0.85, 0.95])
    assert [phase.momentum(0, step, steps) for step in range(steps)] == pytest.approx(expected, rel=1e-9)


def test_momentum_cycles_anew_at_a_restart():
    phase = Phase(n_cycles=2, lr=1.0, shape="onecycle", pct_start=0.5, moms=[0.9, 0.5, 0.8])
    assert [phase.momentum(epoch, batch, 4) for epoch in (0, 1) for batch in (0, 2)] == [0.9, 0.5, 0.9, 0.5]


@pytest.mark.parametrize(
    ("make", "key", "expected"),
    [
        (torch.optim.AdamW, "betas", (0.7, 0.999)),
        (lambda each: torch.optim.SGD(each, lr=1, momentum=0.9), "momentum", 0.7),
    ],
)
def test_momentum_is_set_in_every_group_and_given_back(make, key, expected):
    optimizer = make([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)]}])
    own = optimizer.param_groups[0][key]
    set_momentum(optimizer, 0.7)
    assert [group[key] for group in optimizer.param_groups] == [expected] * 2
    set_momentum(optimizer, None)
    assert [group[key] for group in optimizer.param_groups] == [own] * 2


def test_an_optimizer_without_momentum_is_refused_by_name():
    optimizer = torch.optim.Adagrad([torch.zeros(1)])
    with pytest.raises(InputError, match="the optimizer Adagrad has no momentum; give moms=null"):
        set_momentum(optimizer, 0.9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pct_start": 0.3}, "pct_start with shape=cosine: it is for shape=onecycle or flat_cosine"),
        ({"shape": "flat_cosine", "div": 5.0}, "div with shape=flat_cosine: it is for shape=onecycle;"),
        ({"moms": [0.9, 0.8, 0.9]}, "moms with shape=cosine"),
        ({"shape": "onecycle", "moms": [0.9, 0.8]}, r"moms=\[0.9, 0.8\]: give three numbers"),
        ({"shape": "constant", "eta_min": 0.1}, "eta_min=0.1 with shape=constant: its rate never falls"),
        ({"shape": "onecycle", "warmup": 1.0}, "warmup=1.0 with shape=onecycle: this shape rises by itself"),
        ({"cycle_len": 2, "warmup": 2.5}, "warmup=2.5: give 0 to the phase's 2 epochs"),
    ],
)
def test_what_a_shape_would_not_heed_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        Phase(**values)
