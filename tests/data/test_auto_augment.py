"""timm's policies as the last step of a view."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from presets import preset, smooth, write_noise
from timm.data.auto_augment import augment_and_mix_transform, auto_augment_transform, rand_augment_transform

from imageclf import InputError
from imageclf.data import AutoAugment, PictureDataset, Request

POLICIES = ["rand-m9-mstd0.5-inc1", "rand-m10-inc1", "augmix-m3-w3", "original", "originalr", "v0", "3a"]
PICTURE = smooth(48, 64)


def seeded(augment, seed, picture=PICTURE):
    """Apply a policy with both global generators seeded."""
    random.seed(seed)
    np.random.seed(seed)
    return augment(picture)


@pytest.mark.parametrize("policy", POLICIES)
def test_one_seed_gives_one_picture(policy):
    augment, other = AutoAugment(policy), AutoAugment(policy)
    for seed in range(5):
        np.testing.assert_array_equal(seeded(augment, seed), seeded(other, seed))


@pytest.mark.parametrize("policy", POLICIES)
def test_seeds_give_pictures_that_differ(policy):
    augment = AutoAugment(policy)
    # 3a chooses among three operations, of which one has a range.
    at_least = 2 if policy == "3a" else 10
    assert len({seeded(augment, seed).tobytes() for seed in range(20)}) > at_least


@pytest.mark.parametrize("policy", POLICIES)
def test_a_picture_keeps_its_shape_and_type(policy):
    shown = seeded(AutoAugment(policy), 0)
    assert (shown.shape, shown.dtype) == ((48, 64, 3), np.uint8)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_picture_that_is_given_stays_as_it_is(policy):
    given = PICTURE.copy()
    for seed in range(10):
        seeded(AutoAugment(policy), seed, given)
    np.testing.assert_array_equal(given, PICTURE)


@pytest.mark.parametrize(
    ("policy", "factory"),
    [
        ("rand-m9-mstd0.5-inc1", rand_augment_transform),
        ("augmix-m3-w3", augment_and_mix_transform),
        ("original", auto_augment_transform),
    ],
)
def test_the_operations_are_timms(policy, factory):
    timms = factory(policy, {"img_mean": (124, 116, 104)})
    for seed in range(10):
        expected = seeded(lambda picture: np.asarray(timms(Image.fromarray(picture))), seed)
        np.testing.assert_array_equal(seeded(AutoAugment(policy), seed), expected)


@pytest.mark.parametrize("policy", ["rand-m10-inc1", "rand-m10", "rand-m10-mstd2-inc1", "original", "v0"])
def test_the_highest_level_is_drawn_without_a_mistake(policy):
    augment = AutoAugment(policy)
    shown = [seeded(augment, seed) for seed in range(300)]
    assert len(shown) == 300


def test_the_fewest_bits_of_posterize_leave_a_picture():
    augment = AutoAugment("rand-m10-n1-inc1")
    # Two values are what one bit can tell; no bits would be a black picture.
    assert min(len(np.unique(seeded(augment, seed))) for seed in range(200)) >= 2


@pytest.mark.parametrize("policy", ["nonsense", "rand-q9", "3x", "", "augmix-z3"])
def test_an_unknown_policy_is_refused_by_its_key(policy):
    with pytest.raises(InputError, match=rf"^transforms\.extra\.policy={policy}: .*rand-m9-mstd0\.5-inc1"):
        AutoAugment(policy)


@pytest.fixture
def dataset(tmp_path):
    """Make a dataset that ends its views with a policy."""
    paths = write_noise(tmp_path, [(40, 50)] * 3)
    return PictureDataset(paths, np.arange(3), preset("rand_augment"), "random_resized_crop", 1.0, 42)


def request(views, epoch=0):
    """Ask for views of three pictures."""
    return Request(np.arange(3), np.array(views), epoch, 32)


def test_a_view_leaves_the_global_generators_as_they_were(dataset):
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    dataset[request([1, 2, 3])]
    python, numpy, torchs = random.getstate(), np.random.get_state(), torch.get_rng_state()
    assert python == before[0] and torch.equal(torchs, before[2])
    assert numpy[0] == before[1][0] and numpy[2:] == before[1][2:]
    np.testing.assert_array_equal(numpy[1], before[1][1])


def test_a_view_does_not_depend_on_the_global_generators(dataset):
    shown = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        shown.append(dataset[request([1, 2, 3])].images)
    assert torch.equal(*shown)


def test_a_transform_that_draws_from_torch_is_seeded_by_the_view_too(tmp_path):
    paths = write_noise(tmp_path, [(40, 50)] * 3)

    def grey(picture):
        return np.full_like(picture, int(torch.randint(256, ())))

    drawing = replace(preset("none"), extra=grey)
    shown = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        drawn = PictureDataset(paths, np.arange(3), drawing, "crop", 1.0, 42)[request([1, 2, 3])].images
        shown.append(drawn.flatten(1)[:, 0])
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*shown)
    assert len(set(shown[0].tolist())) > 1


def test_the_generators_are_restored_after_a_policy_that_fails(tmp_path):
    def fail(picture):
        random.random()
        raise RuntimeError("no")

    paths = write_noise(tmp_path, [(40, 50)] * 3)
    failing = replace(preset("none"), extra=fail)
    dataset = PictureDataset(paths, np.arange(3), failing, "crop", 1.0, 42)
    before = random.getstate()
    with pytest.raises(RuntimeError, match="no"):
        dataset[request([1, 1, 1])]
    assert random.getstate() == before


def test_the_picture_as_it_is_is_left_alone(dataset, tmp_path):
    paths = [str(tmp_path / f"{index}.png") for index in range(3)]
    plain = PictureDataset(paths, np.arange(3), preset("none"), "random_resized_crop", 1.0, 42)
    asked = request([0, 0, 0])
    assert torch.equal(dataset[asked].images, plain[asked].images)


@pytest.mark.parametrize("change", [{"views": [2, 2, 2]}, {"epoch": 1}])
def test_another_view_or_epoch_draws_other_operations(dataset, change):
    asked = request(**({"views": [1, 1, 1]} | change))
    one, other = dataset[request([1, 1, 1])].images, dataset[asked].images
    assert all(not torch.equal(*pair) for pair in zip(one, other, strict=True))
