import gc
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from presets import preset

from imageclf.data.dataset import PictureDataset, Request
from imageclf.data.loader import PREFETCH, RequestLoader
from imageclf.data.slots import Filled, Slots

SIDE, BATCH, BATCHES = 16, 4, 12
LARGEST = 3 * BATCH * SIDE**2
SHAPE = (BATCH, SIDE, SIDE, 3)
AUGMENTATION = preset("side_on")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Make a dataset of noisy pictures, no two alike."""
    folder, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = [str(folder / f"{number}.png") for number in range(BATCH * BATCHES)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
    labels = np.arange(len(paths), dtype=np.int64)
    return PictureDataset(paths, labels, AUGMENTATION, "crop", 1.0, 0)


def requests(epoch=0, size=SIDE):
    """Ask for all pictures."""
    rows = np.arange(BATCH * BATCHES).reshape(BATCHES, BATCH)
    return [Request(chosen, np.ones(BATCH, dtype=np.int64), epoch, size) for chosen in rows]


def expected(dataset, asked):
    """Return what the dataset itself answers."""
    return [dataset[request] for request in asked]


def same(batches, others):
    """Tell whether two lists of batches are bitwise equal."""
    pairs = list(zip(batches, others, strict=True))
    parts = ("images", "labels", "rows")
    return all(torch.equal(getattr(a, part), getattr(b, part)) for a, b in pairs for part in parts)


@pytest.fixture
def loader(dataset):
    """Start two workers."""
    return RequestLoader(dataset, 2, LARGEST)


def test_batches_in_slots_are_those_of_the_dataset(dataset, loader):
    seen = [batch._replace(images=batch.images.clone()) for batch in loader.read(requests())]
    assert same(seen, expected(dataset, requests()))


def test_batches_that_are_kept_are_never_written_over(dataset, loader):
    kept = [batch for epoch in range(3) for batch in loader.read(requests(epoch))]
    assert same(kept, [each for epoch in range(3) for each in expected(dataset, requests(epoch))])


def test_a_view_of_a_batch_keeps_its_slot(dataset, loader):
    views = [batch.images[1:2, :, 3:5] for batch in loader.read(requests())]
    assert all(
        torch.equal(view, each.images[1:2, :, 3:5])
        for view, each in zip(views, expected(dataset, requests()), strict=True)
    )


def test_a_numpy_array_of_a_batch_keeps_its_slot(dataset, loader):
    arrays = [batch.images.numpy() for batch in loader.read(requests())]
    gc.collect()
    for array, each in zip(arrays, expected(dataset, requests()), strict=True):
        np.testing.assert_array_equal(array, each.images.numpy())


def test_a_reading_that_was_left_early_does_not_mix_with_the_next(dataset, loader):
    for taken in (1, 2, 5):
        left = list(islice(loader.read(requests(epoch=taken)), taken))
        seen = [batch._replace(images=batch.images.clone()) for batch in loader.read(requests(epoch=9))]
        assert same(left, expected(dataset, requests(epoch=taken))[:taken])
        assert same(seen, expected(dataset, requests(epoch=9)))


def test_a_batch_larger_than_a_slot_travels_by_itself(dataset, loader):
    large = requests(size=2 * SIDE)
    assert same(list(loader.read(large)), expected(dataset, large))


def test_without_slots_batches_are_the_same(dataset):
    assert same(list(RequestLoader(dataset, 2).read(requests())), expected(dataset, requests()))


def test_slots_are_used_again(loader):
    addresses = {batch.images.data_ptr() for epoch in range(5) for batch in loader.read(requests(epoch))}
    assert len(addresses) <= PREFETCH * 2 + 2


def test_a_slot_is_free_again_when_the_last_view_is_gone():
    slots = Slots(1, LARGEST)
    slot = slots.take(SHAPE)
    tensor = slots.lend(slot, SHAPE)
    view = tensor[0]
    del tensor
    assert slots.take(SHAPE) is None
    del view
    assert slots.take(SHAPE) == slot


def test_a_slot_that_is_taken_is_not_taken_twice():
    slots = Slots(2, LARGEST)
    assert {slots.take(SHAPE), slots.take(SHAPE)} == {0, 1}
    assert slots.take(SHAPE) is None


def test_forgetting_frees_what_was_ordered_but_not_what_is_lent():
    slots = Slots(2, LARGEST)
    lent = slots.lend(slots.take(SHAPE), SHAPE)
    slots.take(SHAPE)
    slots.forget()
    assert slots.take(SHAPE) == 1
    assert slots.take(SHAPE) is None
    assert lent.shape == SHAPE


def test_pictures_that_do_not_fit_take_no_slot():
    assert Slots(2, LARGEST).take((BATCH + 1, SIDE, SIDE, 3)) is None


def test_what_is_written_to_a_slot_is_what_its_batch_shows():
    slots = Slots(3, LARGEST)
    slot = slots.take(SHAPE)
    slots.array(slot, SHAPE)[:] = 7
    batch = Filled(slots.number, slot, SHAPE, np.arange(BATCH), np.arange(BATCH)).batch()
    assert batch.images.shape == (BATCH, 3, SIDE, SIDE)
    assert set(batch.images.flatten().tolist()) == {7}
