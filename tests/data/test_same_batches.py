"""One seed gives the same batches bit for bit, whoever reads them and wherever from."""

from itertools import chain

import pytest
from presets import caching, preset
from small_data import image_data, same

from imageclf.schedule import Phase, Schedule

# All that draws anything: geometry, lighting, timm's operations, copies of rare classes.
STRONG = preset("rand_augment", **dict.fromkeys(("max_warp", "max_lighting"), 0.2), p_warp=0.5)
FOUR_EPOCHS = Schedule({"all": Phase(n_cycles=4, unfreeze_to=0)})
OPTIONS = {
    "augmentation": STRONG,
    "schedule": FOUR_EPOCHS,
    "resize": "random_resized_crop",
    "oversample": "repeat",
}


def batches(folder, root, cache="none", epoch=2, **options):
    """Read the training batches of an epoch, from a store or from files."""
    data = image_data(folder, kept=caching(root, cache=cache), epoch=epoch, **(OPTIONS | options))
    data.setup("fit")
    assert bool(data._dataset.stores) == (cache != "none")
    return list(data.train_dataloader())


def shown(batch):
    """Return what a batch shows as pairs of row and pixels, in no order."""
    pairs = zip(batch.rows.tolist(), batch.images, strict=True)
    return sorted((row, image.numpy().tobytes()) for row, image in pairs)


@pytest.fixture(scope="module")
def alone(folder, tmp_path_factory):
    """Read an epoch in this process from the files."""
    return batches(folder, tmp_path_factory.mktemp("alone"))


def test_an_epoch_has_batches_whose_pictures_all_differ(alone):
    pictures = [pair for batch in alone for pair in shown(batch)]
    assert len(alone) == 3 and len(pictures) == len({pixels for _, pixels in pictures}) == 12


@pytest.mark.parametrize("num_workers", [0, 1, 4])
@pytest.mark.parametrize("cache", ["none", "raw"])
def test_workers_and_a_raw_store_change_no_bit(folder, tmp_path, alone, num_workers, cache):
    assert same(batches(folder, tmp_path, cache, num_workers=num_workers), alone) == [True] * 3


def test_another_epoch_shows_other_pixels(folder, tmp_path, alone):
    other = batches(folder, tmp_path, epoch=3)
    seen = {pixels for batch in alone for _, pixels in shown(batch)}
    assert not seen & {pixels for batch in other for _, pixels in shown(batch)}


@pytest.mark.parametrize("cache", ["none", "raw"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_two_ranks_together_see_the_global_batches_of_one(folder, tmp_path, num_workers, cache):
    options = {"num_workers": num_workers}
    ranks = [batches(folder, tmp_path, cache, batch_size=2, rank=rank, **options) for rank in (0, 1)]
    whole = batches(folder, tmp_path, cache, batch_size=4, **options)
    together = [sorted(chain(*map(shown, parts))) for parts in zip(*ranks, strict=True)]
    assert len(whole) == 3 and together == [shown(batch) for batch in whole]


def test_two_ranks_see_nothing_twice(folder, tmp_path):
    ranks = [batches(folder, tmp_path, batch_size=2, rank=rank) for rank in (0, 1)]
    one, other = ({pair for batch in rank for pair in shown(batch)} for rank in ranks)
    assert len(one) == len(other) == 6 and not one & other


def test_validation_is_the_same_from_a_store(folder, tmp_path):
    read = []
    for cache in ("none", "raw"):
        data = image_data(folder, kept=caching(tmp_path, cache=cache), **OPTIONS)
        data.setup("fit")
        read.append(list(data.val_dataloader()))
    assert same(*read) == [True]
