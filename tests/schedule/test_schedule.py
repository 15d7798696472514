import re
from dataclasses import fields

import pytest

from imageclf import InputError
from imageclf.schedule import Phase, Place, RunState, Schedule

GROUPS = ("body0", "body1", "head")
NAMES = ["head"] * 2 + ["finetune"] * 7 + ["bigger"] * 6


def lesson(**finetune):
    """Make a schedule of three phases with 2, 7 and 6 epochs."""
    return Schedule(
        {
            "head": Phase(n_cycles=2, lr=1e-2),
            "finetune": Phase(n_cycles=3, cycle_mult=2, lr="auto", unfreeze_to=0, **finetune),
            "bigger": Phase(n_cycles=2, cycle_len=3, lr=1e-3, unfreeze_to=0, size=64),
        }
    )


def test_a_run_is_as_long_as_its_phases():
    assert lesson().epochs == 15


@pytest.mark.fault(
    "Configs and secrets", "A phase is called `../x`, `a/b` or nothing", "It is refused: phases name files"
)
@pytest.mark.parametrize(
    "name", ["../x", "a/b", "", ".", "..", "a.b", "C:\\x", "[a]", "a\tb", " a", "a" * 65, 1, None]
)
def test_a_name_that_could_leave_the_run_directory_is_no_phase(name):
    with pytest.raises(
        InputError, match=f"^schedule.phases: {re.escape(repr(name))} cannot be the name of a"
    ):
        Schedule({name: Phase()})


@pytest.mark.parametrize("name", ["head", "fine-tune_2", "große Bilder", "頭", "2"])
def test_a_name_in_words_of_any_language_is_one(name):
    assert Schedule({name: Phase()}).at(0).name == name


def test_every_epoch_lies_in_the_phase_that_covers_it():
    assert [lesson().at(epoch).name for epoch in range(15)] == NAMES


def test_a_phase_counts_its_epochs_from_its_own_start():
    assert [lesson().at(epoch).epoch for epoch in range(15)] == [*range(2), *range(7), *range(6)]


def test_cycles_are_counted_within_the_phase():
    assert [lesson().at(epoch).cycle for epoch in range(15)] == [0, 1, 0, 1, 1, 2, 2, 2, 2, 0, 0, 0, 1, 1, 1]


def test_cycle_ends_are_the_last_epochs_of_cycles():
    assert [epoch for epoch in range(15) if lesson().at(epoch).is_cycle_end] == [0, 1, 2, 4, 8, 11, 14]


def test_phase_starts_are_the_first_epochs_of_phases():
    assert [epoch for epoch in range(15) if lesson().at(epoch).is_phase_start] == [0, 2, 9]


def test_a_place_tells_how_far_its_phase_and_cycle_are():
    schedule = lesson()
    assert schedule.at(7) == Place("finetune", schedule.phases["finetune"], 5, 2, 2)


@pytest.mark.parametrize("epoch", [-1, 15, 16, 1000])
def test_an_epoch_outside_the_run_is_an_error(epoch):
    with pytest.raises(IndexError, match=f"epoch {epoch} is outside the run's 15 epochs"):
        lesson().at(epoch)


def test_a_schedule_without_phases_is_refused():
    with pytest.raises(InputError, match=r"^schedule\.phases is empty"):
        Schedule({})


def test_phases_run_in_the_order_of_the_mapping():
    plain = {"z": {"n_cycles": 2}, "a": {}, "m": {"cycle_len": 3}}
    schedule = Schedule.from_plain(plain)
    assert [schedule.at(epoch).name for epoch in range(6)] == ["z", "z", "a", "m", "m", "m"]


def test_plain_mappings_make_the_phases_they_say():
    schedule = Schedule.from_plain({"head": {"n_cycles": 2, "lr": 1e-2}, "rest": None})
    assert schedule == Schedule({"head": Phase(n_cycles=2, lr=1e-2), "rest": Phase()})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_cycles": 0}, r"^schedule\.phases\.bad\.n_cycles=0: give a number from 1 to 100000"),
        ({"lrr": 1}, r"^schedule\.phases\.bad\.lrr is not a key"),
        ({"shape": "sine"}, r"^schedule\.phases\.bad\.shape=sine: give one of cosine, onecycle"),
        ({"lr": [1, 2], "lr_ratio": 2}, r"^schedule\.phases\.bad\.lr="),
    ],
)
def test_a_mistake_in_a_plain_mapping_is_named_by_its_full_key(values, message):
    with pytest.raises(InputError, match=message):
        Schedule.from_plain({"good": {}, "bad": values})


def test_three_groups_fall_together_to_half_their_peaks():
    schedule = Schedule({"all": Phase(lr=[1e-4, 1e-3, 1e-2], unfreeze_to=0)})
    rates = schedule.lrs(GROUPS, 0, 50, 100, {})
    assert rates == pytest.approx({"body0": 5e-5, "body1": 5e-4, "head": 5e-3})


def test_a_found_rate_belongs_to_the_phase_it_was_found_for():
    rates = lesson().lrs(GROUPS, 2, 0, 100, {"head": 7.0, "finetune": 0.5})
    assert rates["head"] == 0.5


def test_a_phase_that_found_no_rate_cannot_go_on():
    with pytest.raises(InputError, match="lr=auto"):
        lesson().lrs(GROUPS, 2, 0, 100, {"head": 7.0})


def test_the_course_starts_anew_with_each_phase():
    rates = [lesson().lrs(GROUPS, epoch, 0, 100, {"finetune": 1.0})["head"] for epoch in (0, 2, 9)]
    assert rates == [1e-2, 1.0, 1e-3]


def test_a_schedule_that_fits_the_groups_passes():
    assert lesson().check(GROUPS) is None


@pytest.mark.parametrize(
    ("finetune", "groups", "message"),
    [
        (
            {"lr": [1e-3, 1e-2]},
            GROUPS,
            r"^schedule\.phases\.finetune\.lr=\[0\.001, 0\.01\] holds 2 rates for 3",
        ),
        (
            {"lr": 1, "unfreeze_to": "body1"},
            ("body0", "head"),
            r"^schedule\.phases\.finetune\.unfreeze_to=body1",
        ),
        (
            {"lr": 1, "unfreeze_to": 0, "precompute": True, "augment": False},
            GROUPS,
            r"^schedule\.phases\.finetune\.precompute=true",
        ),
    ],
)
def test_a_phase_that_does_not_fit_the_groups_is_named(finetune, groups, message):
    schedule = Schedule({"head": Phase(lr=1e-2), "finetune": Phase(**finetune)})
    with pytest.raises(InputError, match=message):
        schedule.check(groups)


def test_auto_without_a_finder_is_refused_before_the_run():
    with pytest.raises(InputError, match=r"^schedule\.phases\.finetune\.lr=auto needs"):
        lesson().check(GROUPS, has_finder=False)


@pytest.mark.parametrize("name", [field.name for field in fields(RunState)])
def test_every_fact_of_a_run_says_who_writes_and_who_reads_it(name):
    (said,) = re.findall(rf"^        {name}: (.*?)(?=^        \S|^    \S|\Z)", RunState.__doc__, re.M | re.S)
    assert len(re.findall(r"[Rr]eads?|skips|writes|saves|add|record", said)) >= 2
