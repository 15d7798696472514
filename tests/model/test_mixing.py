"""Mixup, cutmix and erasing: what the step sees, recomputed from the shares that come with it."""

import random

import numpy as np
import pytest
import torch
from scipy import stats

from imageclf import InputError
from imageclf.model import Mixing

CLASSES = 7
LABELS = torch.arange(CLASSES)


def images(count=CLASSES, side=40):
    """Draw normalised pictures."""
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def mixed(mixup=0.0, cutmix=0.0, erase=0.0, seed=0, labels=LABELS, given=None):
    """Mix a batch with all global generators seeded."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return Mixing(mixup, cutmix, erase)(images() if given is None else given, labels, CLASSES)


def partners(targets):
    """Return what each picture is mixed with, and its own share; every class occurs once."""
    own = targets[torch.arange(CLASSES), LABELS]
    others = targets.clone()
    others[torch.arange(CLASSES), LABELS] = 0
    return others.argmax(dim=1), own


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ways", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_targets_are_shares_of_two_classes(ways, seed):
    _, targets = mixed(**ways, seed=seed)
    assert targets.shape == (CLASSES, CLASSES) and (targets >= 0).all()
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(CLASSES))
    assert ((targets > 0).sum(dim=1) <= 2).all()


@pytest.mark.parametrize("seed", range(10))
def test_mixup_is_the_weighted_mean_of_two_pictures(seed):
    shown, targets = mixed(mixup=1.0, seed=seed)
    other, share = partners(targets)
    weights = share[:, None, None, None]
    torch.testing.assert_close(shown, weights * images() + (1 - weights) * images()[other])


def test_mixup_mixes_every_picture_with_another_by_one_weight():
    other, share = partners(mixed(mixup=1.0)[1])
    assert sorted(other.tolist()) == LABELS.tolist() and (other != LABELS).all()
    torch.testing.assert_close(share, share[0].expand(CLASSES))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_weights_of_mixup_are_beta_distributed(alpha):
    weights = [partners(mixed(mixup=alpha, seed=seed, given=images(side=2))[1])[1][0] for seed in range(500)]
    assert stats.kstest([float(weight) for weight in weights], stats.beta(alpha, alpha).cdf).pvalue > 1e-4


@pytest.mark.parametrize("seed", range(10))
def test_cutmix_lends_a_rectangle_as_large_as_its_share(seed):
    shown, targets = mixed(cutmix=1.0, seed=seed)
    other, share = partners(targets)
    lent = (shown != images()).all(dim=1)
    torch.testing.assert_close(1 - lent.float().mean(dim=(1, 2)), share)
    # The same place in all pictures, filled from the other one.
    rows, columns = torch.nonzero(lent[0].any(dim=1)).ravel(), torch.nonzero(lent[0].any(dim=0)).ravel()
    assert lent.sum() == CLASSES * len(rows) * len(columns)
    assert torch.equal(shown, torch.where(lent[:, None], images()[other], images()))


def test_with_both_each_batch_takes_one_or_the_other_as_often():
    # Mixup leaves no value as it was; cutmix most.
    given = images(side=4)
    kept = [bool((mixed(1.0, 1.0, seed=seed, given=given)[0] == given).any()) for seed in range(400)]
    assert stats.binomtest(sum(kept), 400, 0.5).pvalue > 1e-4


def test_zeros_give_the_same_pictures_and_labels_back():
    given = images()
    shown, labels = mixed(given=given)
    assert shown is given and labels is LABELS


@pytest.mark.parametrize("ways", [{"mixup": 0.4}, {"cutmix": 1.0}, {"erase": 1.0}])
def test_the_pictures_that_are_given_stay_as_they_are(ways):
    given = images()
    mixed(**ways, given=given)
    assert torch.equal(given, images())


def test_erasing_always_changes_a_part_of_every_picture_and_no_label():
    shown, labels = mixed(erase=1.0)
    changed = (shown != images()).any(dim=1).float().mean(dim=(1, 2))
    assert labels is LABELS
    assert (changed > 0).all() and (changed < 0.5).all()


def test_what_is_erased_is_a_rectangle_of_noise():
    shown, _ = mixed(erase=1.0)
    for picture, before in zip(shown, images(), strict=True):
        gone = (picture != before).all(dim=0)
        rows, columns = gone.any(dim=1).sum(), gone.any(dim=0).sum()
        assert gone.sum() == rows * columns
        assert picture[:, gone].std() > 0.5


def test_pictures_are_erased_as_often_as_is_said():
    given = torch.zeros(2000, 3, 16, 16)
    shown, _ = mixed(erase=0.25, labels=torch.zeros(2000, dtype=torch.long), given=given)
    erased = int((shown != 0).flatten(1).any(dim=1).sum())
    assert stats.binomtest(erased, 2000, 0.25).pvalue > 1e-4


def test_erasing_goes_with_mixing():
    shown, targets = mixed(mixup=1.0, erase=1.0)
    other, share = partners(targets)
    erased = mixed(erase=1.0)[0]
    weights = share[:, None, None, None]
    torch.testing.assert_close(shown, weights * erased + (1 - weights) * erased[other])


@pytest.mark.parametrize(
    "ways", [{"mixup": 0.4}, {"cutmix": 1.0}, {"erase": 0.5}, {"mixup": 0.4, "cutmix": 1.0, "erase": 0.5}]
)
def test_one_seed_gives_one_result_and_another_another(ways):
    one, again, other = (mixed(**ways, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one[0], again[0]) and torch.equal(one[1], again[1])
    assert not torch.equal(one[0], other[0])


def test_two_batches_in_a_row_are_mixed_differently():
    torch.manual_seed(0)
    mixing = Mixing(0.0, 1.0, 0.0)
    shown = {mixing(images(), LABELS, CLASSES)[0].numpy().tobytes() for _ in range(8)}
    assert len(shown) > 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("mixup", -0.1), ("mixup", 11), ("cutmix", -1), ("cutmix", float("nan")), ("erase", 1.1), ("erase", -1)],
)
def test_a_value_outside_its_range_is_refused_by_its_key(name, value):
    values = {"mixup": 0.0, "cutmix": 0.0, "erase": 0.0} | {name: value}
    with pytest.raises(InputError, match=rf"^model\.mixing\.{name}={value}: give a number from 0 to"):
        Mixing(**values)
