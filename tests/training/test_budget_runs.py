"""`budget`: a run's config has the lengths that fit, and keeps them; what cannot keep a budget is refused."""

from pathlib import Path

import pytest

from imageclf import InputError, Preempted
from imageclf.configs import load_config, read_object
from imageclf.data.sources.table import make_table
from imageclf.schedule import Phase, Schedule, Workload
from imageclf.training.budget.probe import few_of, pace_of, probe_schedule
from imageclf.training.directory import prepare

# Of 24 training pictures: 144 in 6 epochs.
RECIPE = ("schedule.phases.head.cycle_len=4", "schedule.phases.finetune.cycle_len=2")
HERE = "hydra.run.dir=."


@pytest.fixture
def start(composed, tiny, tmp_path):
    """Return a function that prepares a run directory with what a user typed, and returns its lengths."""

    def run(*typed: str) -> dict[str, int]:
        run_dir: Path = tmp_path / "run"
        overrides = [*tiny, *RECIPE, *(each for each in typed if each != HERE)]
        (run_dir / ".hydra").mkdir(parents=True, exist_ok=True)
        (run_dir / ".hydra" / "overrides.yaml").write_text("".join(f"- {each}\n" for each in overrides))
        prepare(composed(*overrides), run_dir, [*overrides, *typed])
        found = load_config(run_dir / "config.yaml")["schedule"]["phases"]
        return {name: phase["cycle_len"] for name, phase in found.items()}

    return run


def test_without_a_budget_lengths_are_as_given(start):
    assert start() == {"head": 4, "finetune": 2}


def test_a_number_of_pictures_makes_every_phase_longer_in_proportion(start):
    assert start("budget=300pictures") == {"head": 8, "finetune": 4}


def test_pictures_are_counted_without_opening_them(start, tmp_path):
    start("budget=300pictures", f"data.cache_dir={tmp_path / 'cache'}")
    assert not (tmp_path / "cache").exists()


def test_a_smaller_number_makes_every_phase_shorter(start):
    assert start("budget=72pictures") == {"head": 2, "finetune": 1}


def test_a_budget_below_one_epoch_of_each_phase_is_refused_with_what_that_takes(start):
    with pytest.raises(InputError) as refused:
        start("budget=47pictures")
    assert str(refused.value) == (
        "budget=47pictures: with cycle_len=1 in every phase the run takes 48 pictures; give more, or a "
        "schedule with fewer phases"
    )


def test_a_run_that_is_refused_for_its_budget_is_recorded_as_failed(command, tiny, tmp_path):
    done = command("train", *tiny, "budget=1pictures", f"hydra.run.dir={tmp_path}")
    failure = read_object(tmp_path / "failed.json")
    assert (done.code, failure["status"]) == (1, "input")
    assert str(failure["cause"]).startswith(
        "budget=1pictures: with cycle_len=1 in every phase the run takes 48"
    )


def test_a_measurement_is_not_judged_as_a_trial_of_a_search(start):
    pruning = "_target_: imageclf.callbacks.search.pruning.Pruning, storage: ../study.log, study: a, trial: 0"
    node = f"{{{pruning}, metric: val/acc, pruner: median, options: {{}}}}"
    assert start("budget=2min", f"+callbacks.pruning={node}")["head"] > 4


def test_the_few_pictures_of_a_measurement_need_not_have_every_class(start):
    typed = ("data.batch_size=1", "model.class_weights=balanced", "schedule.phases.finetune.bn=eval")
    assert start("budget=2min", *typed)["head"] > 4


@pytest.mark.long
def test_a_plan_for_a_time_estimates_it_once(command, tiny, tmp_path):
    done = command("plan", *tiny, "budget=1min", f"hydra.run.dir={tmp_path}")
    assert done.code == 0
    assert "takes about" not in done.out


def test_a_run_goes_on_with_the_very_same_config_by_the_command_that_began_it(start, tmp_path):
    start("budget=300pictures")
    config = tmp_path / "run" / "config.yaml"
    before = config.read_bytes()
    (tmp_path / "run" / "metrics.csv").write_text("epoch,phase\n0,head\n")
    assert start("budget=300pictures", "ckpt_path=auto", HERE) == {"head": 8, "finetune": 4}
    assert config.read_bytes() == before


def test_a_run_does_not_go_on_with_another_budget(start, tmp_path):
    start("budget=300pictures")
    (tmp_path / "run" / "metrics.csv").write_text("epoch,phase\n0,head\n")
    with pytest.raises(InputError, match="was started with budget=300pictures"):
        start("budget=600pictures", "ckpt_path=auto", HERE)


def test_a_run_that_has_done_no_epoch_is_measured_anew_for_another_budget(start):
    start("budget=300pictures")
    assert start("budget=72pictures") == {"head": 2, "finetune": 1}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["budget=soon"], "budget=soon: give a time such as 90s, 10min or 1.5h, or"),
        (["budget=600"], "budget=600: give a time such as 90s, 10min or 1.5h, or"),
        (["budget=1min", "trainer.devices=2"], "and this one trains on 2 ranks; give a number of training"),
        (["budget=1min", "+trainer.limit_train_batches=3"], "with trainer.limit_train_batches=3: both say"),
    ],
)
def test_what_cannot_be_kept_is_refused(start, typed, words):
    with pytest.raises(InputError) as refused:
        start(*typed)
    assert words in str(refused.value)


def test_a_signal_ends_a_measurement_at_once_and_nothing_of_it_stays(start, tmp_path):
    send = "{_target_: probes.SendSignal, name: SIGTERM, epoch: 1, batch: 0, to: process, rank: 0}"
    killed = tmp_path / "run" / ".probe"
    killed.mkdir(parents=True)
    with pytest.raises(Preempted, match=r"^ended by SIGTERM; start it again$"):
        start("budget=2min", f"+callbacks.send={send}")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".hydra"]


@pytest.mark.long
def test_a_time_is_measured_with_the_recipe_itself_and_nothing_of_it_stays(start, tmp_path, caplog):
    caplog.set_level("INFO")
    lengths = start("budget=2min")
    assert lengths["head"] > 4
    assert lengths["finetune"] == pytest.approx(lengths["head"] / 2, abs=1)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".hydra", "config.yaml"]
    said = [record.getMessage() for record in caplog.records if "budget" in record.getMessage()]
    assert said[-1].startswith(f"budget=2min: epochs of head 4 to {lengths['head']}, finetune 2 to ")


def test_a_probe_has_a_phase_of_three_epochs_for_each_kind_of_pass():
    recipe = Schedule(
        {
            "head": Phase(cycle_len=20, augment=False, precompute=True),
            "tune": Phase(n_cycles=2, cycle_mult=2, lr=1e-3, unfreeze_to=0, size=[64, 96], warmup=1.0),
            "again": Phase(lr=1e-3, unfreeze_to=0, size=96),
        }
    )
    probe = probe_schedule(recipe, 64).phases
    assert {name: (phase.size, phase.cycles) for name, phase in probe.items()} == {
        "features-64": (None, (3,)),
        "trained-body-64": (64, (3,)),
        "trained-body-96": (96, (3,)),
    }


def test_a_probe_takes_a_few_pictures_of_each_split_the_same_each_time():
    rows = [f"{number:03}" for number in range(100)]
    splits = ["train"] * 80 + ["valid"] * 20
    table = make_table({"id": rows, "path": rows, "label": ["a", "b"] * 50, "split": splits})
    few = few_of(table, 30)
    assert (len(few.rows("train")), len(few.rows("valid"))) == (30, 20)
    assert few.ids == few_of(table, 30).ids
    assert few.classes == table.classes


def test_what_passes_do_not_explain_belongs_to_epochs_to_cycles_and_to_the_ends():
    work = Workload(train=10, valid=0, search=0, views=0, size=32, compares=False)
    probe = Schedule({"tune": Phase(cycle_len=3, lr=1e-3, unfreeze_to=0)})
    measured = {("trained body", 32): (4.0, 10)}
    # Each epoch has 4 s of passes; the first one warms up, the last one ends a cycle.
    times = [0.0, 1.0, 15.0, 20.0, 27.0, 30.0]
    pace = pace_of(times, probe, measured, work, work._replace(train=1000))
    assert (pace.ends, pace.epoch, pace.cycle) == (1.0 + 3.0, 1.0, 2.0)
    assert pace.seconds(probe) == 4.0 + 3 * (400 + 1.0) + 2.0
