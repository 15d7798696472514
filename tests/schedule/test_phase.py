import math
from dataclasses import fields

import numpy as np
import pytest
import torch

from imageclf import InputError
from imageclf.schedule import Phase
from imageclf.schedule.schedule import phase_from

GROUPS = ("body0", "body1", "head")
NUM_BATCHES = 100
SGDR = {
    0: 1,
    25: 0.85355339,
    50: 0.5,
    75: 0.14644661,
    99: 0.00024672,
    100: 1,
    150: 0.85355339,
    200: 0.5,
    299: 6.168e-5,
    300: 1,
    500: 0.5,
    699: 1.542e-5,
}


def scales(phase, num_batches=NUM_BATCHES):
    """List the multiplier of every step of a phase."""
    return [
        phase.lr_scale(*divmod(step, num_batches), num_batches) for step in range(phase.epochs * num_batches)
    ]


@pytest.mark.parametrize(("step", "expected"), SGDR.items())
def test_sgdr_has_the_rates_of_its_paper(step, expected):
    scale = Phase(n_cycles=3, cycle_len=1, cycle_mult=2).lr_scale(*divmod(step, NUM_BATCHES), NUM_BATCHES)
    assert scale == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("end", [100, 300])
def test_the_rate_jumps_back_to_full_at_a_restart(end):
    rates = scales(Phase(n_cycles=3, cycle_len=1, cycle_mult=2))
    assert rates[end - 1] < 1e-3 and rates[end] == 1


def test_cycles_end_after_100_300_and_700_steps():
    rates = [*scales(Phase(n_cycles=3, cycle_len=1, cycle_mult=2)), math.inf]
    assert [step for step in range(1, len(rates)) if rates[step] > rates[step - 1]] == [100, 300, 700]


@pytest.mark.parametrize("cycle_len", [1, 2, 7])
def test_the_sixth_cycle_of_a_tripling_starts_at_the_peak(cycle_len):
    phase = Phase(n_cycles=6, cycle_len=cycle_len, cycle_mult=3)
    assert phase.lr_scale(121 * cycle_len, 0, NUM_BATCHES) == 1


@pytest.mark.parametrize(("t_0", "t_mult"), [(1, 1), (10, 1), (7, 2), (1, 3), (3, 3)])
def test_the_rates_are_those_of_torch_where_it_counts_steps(t_0, t_mult):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, t_0, t_mult, eta_min=0.1)
    rates = []
    for _ in range(6 * t_0):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    # Epochs of one batch are steps.
    ours = scales(Phase(n_cycles=6, cycle_len=t_0, cycle_mult=t_mult, eta_min=0.1), num_batches=1)
    np.testing.assert_allclose(ours[: len(rates)], rates, rtol=1e-9)


@pytest.mark.parametrize("num_batches", [1, 2, 3, 7])
def test_one_rate_a_batch_and_none_twice_in_a_cycle(num_batches):
    rates = scales(Phase(n_cycles=1, cycle_len=5), num_batches)
    assert rates == sorted(set(rates), reverse=True)
    assert len(rates) == 5 * num_batches


@pytest.mark.parametrize("shape", ["cosine", "flat_cosine"])
def test_eta_min_is_where_a_falling_shape_ends(shape):
    lowest = min(scales(Phase(shape=shape, eta_min=0.2), num_batches=10_000))
    assert lowest == pytest.approx(0.2, rel=1e-5)


def test_eta_min_halfway_is_the_mean_of_peak_and_lowest():
    assert Phase(eta_min=0.2).lr_scale(0, 50, NUM_BATCHES) == pytest.approx(0.6)


def test_the_peak_decays_by_its_factor_at_each_restart():
    phase = Phase(n_cycles=4, cycle_len=2, peak_decay=0.5)
    assert [phase.lr_scale(epoch, 0, NUM_BATCHES) for epoch in (0, 2, 4, 6)] == [1, 0.5, 0.25, 0.125]


def test_warmup_rises_in_equal_steps_to_the_course():
    rates = scales(Phase(cycle_len=2, shape="constant", warmup=0.5), num_batches=8)
    assert rates == [0.25, 0.5, 0.75, *[1.0] * 13]


@pytest.mark.parametrize("warmup", [0.1, 0.5, 1, 1.5])
def test_the_cosine_starts_at_the_peak_that_the_warmup_leads_to(warmup):
    rates, rising = scales(Phase(cycle_len=2, warmup=warmup)), int(100 * warmup)
    np.testing.assert_allclose(rates[:rising], np.arange(1, rising + 1) / rising)
    falling = np.arange(200 - rising) / (200 - rising)
    np.testing.assert_allclose(rates[rising:], (1 + np.cos(np.pi * falling)) / 2, atol=1e-12)


def test_a_warmup_of_a_whole_cycle_leaves_nothing_to_its_shape():
    assert scales(Phase(n_cycles=2, warmup=1), num_batches=4) == pytest.approx(
        [0.25, 0.5, 0.75, 1, *scales(Phase(), num_batches=4)]
    )


def test_warmup_is_not_repeated_at_a_restart():
    assert Phase(n_cycles=2, warmup=0.5).lr_scale(1, 0, NUM_BATCHES) == 1


def test_warmup_may_outlast_the_first_cycle():
    assert Phase(n_cycles=2, warmup=2).lr_scale(1, 0, NUM_BATCHES) == pytest.approx(101 / 200)


def test_the_first_step_of_a_warmup_is_not_lost_to_a_rate_of_zero():
    assert scales(Phase(warmup=1))[0] > 0


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (1, (1e-2, 1e-2, 1e-2)),
        (10, (1e-4, 1e-3, 1e-2)),
        (2, (2.5e-3, 5e-3, 1e-2)),
        (0.5, (4e-2, 2e-2, 1e-2)),
    ],
)
def test_each_group_has_the_rate_above_it_divided_by_the_ratio(ratio, expected):
    rates = Phase(lr=1e-2, lr_ratio=ratio, unfreeze_to=0).group_lrs(GROUPS)
    assert rates == pytest.approx(expected)


def test_a_list_gives_each_group_its_rate():
    assert Phase(lr=[1e-4, 1e-3, 1e-2], unfreeze_to=0).group_lrs(GROUPS) == (1e-4, 1e-3, 1e-2)


@pytest.mark.parametrize("lr", [1e-2, [1e-4, 1e-3, 1e-2], "auto"])
def test_frozen_groups_have_a_rate_of_zero(lr):
    rates = Phase(lr=lr, unfreeze_to=1).group_lrs(GROUPS, found=1e-2)
    assert [rate > 0 for rate in rates] == [False, True, True]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_wrong_number_of_rates_is_refused(count):
    with pytest.raises(InputError, match=rf"holds {count} rates for 3 layer groups \(body0, body1, head\)"):
        Phase(lr=[1e-3] * count, unfreeze_to=0).group_lrs(GROUPS)


def test_auto_is_the_rate_that_was_found_for_the_head():
    assert Phase(lr="auto", lr_ratio=2, unfreeze_to=0).group_lrs(GROUPS, found=4.0) == (1, 2, 4)


def test_auto_without_a_found_rate_names_the_finder():
    with pytest.raises(InputError, match=r"lr=auto needs .* callbacks\.lr_finder"):
        Phase(lr="auto").group_lrs(GROUPS)


def test_a_found_rate_does_not_replace_one_that_was_given():
    assert Phase(lr=1e-3).group_lrs(GROUPS, found=5.0)[-1] == 1e-3


@pytest.mark.parametrize(
    ("unfreeze_to", "first"),
    [("body0", 0), ("body1", 1), ("head", 2), (0, 0), (1, 1), (2, 2), (-1, 2), (-2, 1), (-3, 0)],
)
def test_a_group_is_named_or_counted_from_either_end(unfreeze_to, first):
    assert Phase(unfreeze_to=unfreeze_to).first_trainable(GROUPS) == first


@pytest.mark.parametrize("unfreeze_to", ["body2", "Head", "", "0", 3, -4])
def test_a_group_that_is_not_there_is_refused_with_those_that_are(unfreeze_to):
    message = rf"^unfreeze_to={unfreeze_to}: .* body0, body1, head, or an index from -3 to 2"
    with pytest.raises(InputError, match=message):
        Phase(unfreeze_to=unfreeze_to).first_trainable(GROUPS)


def test_precompute_with_augmentation_is_refused():
    with pytest.raises(InputError, match=r"precompute=true with augment=true.*augment=false"):
        Phase(precompute=True, augment=True)


@pytest.mark.parametrize("unfreeze_to", [0, 1, "body1", -2])
def test_precompute_with_a_body_that_trains_is_refused(unfreeze_to):
    phase = Phase(precompute=True, augment=False, unfreeze_to=unfreeze_to)
    with pytest.raises(InputError, match=f"precompute=true with unfreeze_to={unfreeze_to}.*unfreeze_to=head"):
        phase.first_trainable(GROUPS)


@pytest.mark.parametrize("unfreeze_to", ["head", -1, 2])
def test_precompute_goes_with_a_frozen_body(unfreeze_to):
    assert Phase(precompute=True, augment=False, unfreeze_to=unfreeze_to).first_trainable(GROUPS) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_cycles", 0),
        ("cycle_len", 0),
        ("cycle_len", -1),
        ("cycle_mult", 0),
        ("size", 0),
        ("batch_size", 0),
        ("lr_ratio", 0),
        ("lr_ratio", -1.0),
        ("lr_ratio", math.nan),
        ("layer_decay", 0),
        ("layer_decay", -0.5),
        ("layer_decay", 1.1),
        ("layer_decay", math.nan),
        ("peak_decay", 0),
        ("peak_decay", 1.01),
        ("eta_min", -0.1),
        ("eta_min", 1),
        ("ema", 0),
        ("ema", -1),
        ("warmup", -1),
        ("warmup", math.nan),
        ("shape", "cosinus"),
        ("bn", "frozen"),
        ("lr", 0),
        ("lr", -1e-3),
        ("lr", math.nan),
        ("lr", "automatic"),
        ("lr", []),
        ("lr", [1e-3, 0, 1e-3]),
    ],
)
def test_a_value_outside_its_range_is_refused_by_its_full_key(key, value):
    with pytest.raises(InputError, match=rf"^schedule\.phases\.finetune\.{key}="):
        phase_from("finetune", {key: value})


def test_one_rate_per_group_leaves_nothing_to_the_ratio():
    with pytest.raises(InputError, match=r"lr=\[0\.1, 0\.2\] with lr_ratio=3"):
        Phase(lr=[0.1, 0.2], lr_ratio=3)


@pytest.mark.parametrize(("key", "value"), [("lr_ratio", 3.0), ("lr", [0.1, 0.2])])
def test_rates_fall_by_layer_or_by_group(key, value):
    with pytest.raises(InputError, match=rf"^schedule\.phases\.tune\.layer_decay=0\.75 with {key}="):
        phase_from("tune", {"layer_decay": 0.75, key: value})


@pytest.mark.parametrize("lr", [1e-3, "auto"])
def test_layer_decay_leaves_all_groups_the_heads_rate(lr):
    phase = Phase(lr=lr, layer_decay=0.75, unfreeze_to=0)
    assert phase.group_lrs(GROUPS, found=1e-3) == (1e-3, 1e-3, 1e-3)
    assert [phase.layer_scale(depth) for depth in (0, 1, 2)] == [1, 0.75, 0.5625]


def test_an_unknown_key_is_named_in_full():
    with pytest.raises(InputError, match=r"^schedule\.phases\.head\.cycle_lenght is not a key of a phase"):
        phase_from("head", {"cycle_lenght": 1})


def test_a_contradiction_is_named_by_its_full_key():
    with pytest.raises(InputError, match=r"^schedule\.phases\.head\.precompute=true"):
        phase_from("head", {"precompute": True})


def test_every_field_of_a_phase_is_a_key_of_it():
    values = {field.name: field.default for field in fields(Phase)}
    assert len(values) == 24
    assert phase_from("any", values) == Phase()


def test_the_defaults_are_plain_sgdr_on_the_head():
    phase = Phase()
    assert (phase.shape, phase.eta_min, phase.peak_decay, phase.warmup) == ("cosine", 0, 1, 0)
    assert phase.first_trainable(GROUPS) == 2
