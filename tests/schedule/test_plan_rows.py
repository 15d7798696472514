import pytest

from imageclf.schedule import Phase, Schedule, phase_rows, step_rows

GROUPS = ("body0", "body1", "head")
DEPTHS = {"body0": 5, "body1": 2, "head": 0}
SCHEDULE = Schedule(
    {
        "head": Phase(cycle_len=2, lr="auto", augment=False, precompute=True),
        "augment": Phase(lr=1e-2),
        "finetune": Phase(n_cycles=3, cycle_mult=2, lr="auto", lr_ratio=3, unfreeze_to=0, size=64),
        "plain": Phase(lr=[1e-4, 1e-3, 1e-2], unfreeze_to="body1", augment=False, batch_size=8),
    }
)


def num_batches(place):
    """Return the batches of an epoch of 64 pictures, 16 a batch."""
    return 64 // (place.batch_size or 16)


def phases(key):
    """List one column of the rows of phases."""
    rows = phase_rows(SCHEDULE, GROUPS, num_batches, 32, (100, 10, 1))
    assert len(rows) == 4
    return [row[key] for row in rows]


def steps(found):
    """List the rows of steps."""
    return list(step_rows(SCHEDULE, GROUPS, num_batches, 32, found))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("phase", ["head", "augment", "finetune", "plain"]),
        ("epochs", [2, 1, 7, 1]),
        ("cycles", ["2", "1", "1+2+4", "1"]),
        ("steps", [8, 4, 28, 8]),
        ("size", [32, 32, 64, 32]),
        ("trains", [1, 1, 111, 11]),
        ("pictures", ["cached", "augmented", "augmented", "plain"]),
        ("lr/body0", ["frozen", "frozen", "auto/9", "frozen"]),
        ("lr/body1", ["frozen", "frozen", "auto/3", "0.001"]),
        ("lr/head", ["auto", "0.01", "auto", "0.01"]),
    ],
)
def test_a_row_tells_of_each_phase(key, expected):
    assert phases(key) == expected


@pytest.mark.parametrize("key", ["epochs", "steps", "size", "trains"])
def test_counts_of_phases_are_whole_numbers(key):
    assert {type(value) for value in phases(key)} == {int}


def test_there_is_a_row_for_every_step():
    assert [row["step"] for row in steps({})] == list(range(8 + 4 + 28 + 8))


@pytest.mark.parametrize("key", ["step", "epoch", "batch", "cycle", "size"])
def test_counts_of_steps_are_whole_numbers(key):
    assert {type(row[key]) for row in steps({})} == {int}


def test_steps_count_through_the_phases_with_the_batches_of_each():
    schedule = Schedule({"a": Phase(n_cycles=2), "b": Phase(batch_size=8)})
    rows = step_rows(
        schedule, GROUPS, lambda place: 3 if place.batch_size is None else 2, 32, found={"a": 1.0, "b": 1.0}
    )
    assert [(row["step"], row["epoch"], row["batch"], row["phase"]) for row in rows] == [
        (0, 0, 0, "a"),
        (1, 0, 1, "a"),
        (2, 0, 2, "a"),
        (3, 1, 0, "a"),
        (4, 1, 1, "a"),
        (5, 1, 2, "a"),
        (6, 2, 0, "b"),
        (7, 2, 1, "b"),
    ]


def test_the_columns_are_those_of_the_plan():
    columns = ["step", "epoch", "batch", "phase", "cycle", "size", "lr/body0", "lr/body1", "lr/head"]
    assert {tuple(row) for row in steps({})} == {tuple(columns)}


def test_rates_are_blank_in_a_phase_whose_rate_is_unknown():
    rows = steps({"head": 1e-3})
    assert {row["phase"] for row in rows if row["lr/head"] is None} == {"finetune"}


def test_frozen_groups_are_at_zero_though_the_rate_is_unknown():
    assert [row["lr/body0"] for row in steps({}) if row["phase"] == "head"] == [0.0] * 8


def test_a_found_rate_fills_the_blanks():
    rows = steps({"head": 1e-3, "finetune": 9e-3})
    first = next(row for row in rows if row["phase"] == "finetune")
    assert [first[f"lr/{group}"] for group in GROUPS] == pytest.approx([1e-3, 3e-3, 9e-3])


def test_the_rates_of_the_plan_are_those_of_the_run():
    found = {"head": 1e-3, "finetune": 9e-3}
    planned = [tuple(row[f"lr/{group}"] for group in GROUPS) for row in steps(found)]
    run = [
        tuple(SCHEDULE.lrs(GROUPS, epoch, batch, num_batches(place), found).values())
        for epoch, place in enumerate(SCHEDULE.places)
        for batch in range(num_batches(place))
    ]
    assert planned == run


def test_the_batches_of_an_epoch_are_counted_once():
    counted = []
    rows = list(
        step_rows(SCHEDULE, GROUPS, lambda place: counted.append(place) or num_batches(place), 32, {})
    )
    assert len(rows) > SCHEDULE.epochs
    assert counted == list(SCHEDULE.places)


def test_a_group_shows_the_highest_rate_of_its_layers():
    schedule = Schedule({"tune": Phase(lr=0.4, layer_decay=0.5, unfreeze_to="body1")})
    rows = list(step_rows(schedule, GROUPS, num_batches, 32, {}, depths=DEPTHS))
    assert [rows[0][f"lr/{group}"] for group in GROUPS] == [0, 0.1, 0.4]
    shown = phase_rows(schedule, GROUPS, num_batches, 32, (100, 10, 1), depths=DEPTHS)[0]
    assert [shown[f"lr/{group}"] for group in GROUPS] == ["frozen", "0.1", "0.4"]


def test_a_rate_to_be_found_shows_by_how_much_a_group_is_below_it():
    schedule = Schedule({"tune": Phase(layer_decay=0.5, unfreeze_to=0)})
    shown = phase_rows(schedule, GROUPS, num_batches, 32, (100, 10, 1), depths=DEPTHS)[0]
    assert [shown[f"lr/{group}"] for group in GROUPS] == ["auto/32", "auto/4", "auto"]


@pytest.mark.parametrize(("lr", "unit"), [(1e-2, 1e-2), ("auto", 1.0)])
@pytest.mark.parametrize(("shape", "reaches"), [("cosine", True), ("onecycle", False)])
def test_the_rates_of_a_phase_are_the_highest_that_any_of_its_steps_takes(lr, unit, shape, reaches):
    # Of eight steps none lies at nine tenths.
    shaped = {"warmup": 1.0} if shape == "cosine" else {"shape": shape, "pct_start": 0.9}
    phase = Phase(cycle_len=2, lr=lr, lr_ratio=3, unfreeze_to=0, **shaped)
    schedule = Schedule({"fit": phase})
    rows = step_rows(schedule, GROUPS, num_batches, 32, {"fit": 1.0})
    highest = max(row["lr/head"] for row in rows)
    assert (highest == unit) is reaches
    shown = phase_rows(schedule, GROUPS, num_batches, 32, (100, 10, 1))[0]["lr/head"]
    reached = "auto" if reaches else f"auto/{1 / highest:.3g}"
    assert shown == (reached if lr == "auto" else f"{highest:.2g}")


def test_batches_are_counted_once_an_epoch_for_the_rows_of_phases():
    counted = []
    phase_rows(SCHEDULE, GROUPS, lambda place: counted.append(place) or num_batches(place), 32, (100, 10, 1))
    assert len(counted) == SCHEDULE.epochs
