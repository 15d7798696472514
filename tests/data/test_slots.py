import gc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from presets import preset

from imageclf.data.dataset import PictureDataset, Request
from imageclf.data.loader import RequestLoader
from imageclf.data.slots import Slots
from imageclf.data.workers import AHEAD

SIDE, BATCH, BATCHES = 16, 4, 12
LARGEST = 3 * BATCH * SIDE**2
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


def test_a_batch_larger_than_a_slot_is_sent_through_the_pipe(dataset, loader):
    large = requests(size=2 * SIDE)
    assert same(list(loader.read(large)), expected(dataset, large))


def test_without_slots_batches_are_the_same(dataset):
    assert same(list(RequestLoader(dataset, 2).read(requests())), expected(dataset, requests()))


def slots_of_five_epochs(loader):
    """Return the addresses of all batches that come in slots, which are shared memory."""
    addresses = [batch.images.data_ptr() for epoch in range(5) for batch in loader.read(requests(epoch))]
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    ranges = [[int(end, 16) for end in line[0].split("-")] for line in lines if line[1].endswith("s")]
    return [each for each in addresses if any(low <= each < high for low, high in ranges)]


def assert_slots_are_used_again(loader):
    # A slow machine may have none free at times: such a batch comes through the pipe.
    found = slots_of_five_epochs(loader)
    assert len(found) > 5 * BATCHES / 2
    assert len(set(found)) <= AHEAD * 2 + 2


def test_slots_are_used_again(loader):
    assert_slots_are_used_again(loader)


def test_a_reading_that_was_left_early_gives_its_slots_back(loader):
    for epoch in range(5):
        list(islice(loader.read(requests(epoch)), 2))
    assert_slots_are_used_again(loader)


def test_closing_gives_all_slots_back(loader):
    reading = loader.read(requests())
    next(reading)
    loader.close()
    assert_slots_are_used_again(loader)


def test_a_slot_is_free_again_when_the_last_view_is_gone():
    slots = Slots(1, LARGEST)
    slot = slots.reserve()
    tensor = torch.from_numpy(slots.lend(slot)[:12].reshape(3, 4))
    view = tensor[0]
    del tensor
    assert slots.reserve() is None
    del view
    assert slots.reserve() == slot


def test_a_slot_is_free_again_when_the_last_array_is_gone():
    slots = Slots(1, LARGEST)
    slot = slots.reserve()
    array = slots.lend(slot)[4:][:12].reshape(3, 4)[1]
    assert slots.reserve() is None
    del array
    assert slots.reserve() == slot


def test_a_slot_that_is_reserved_is_not_reserved_twice():
    slots = Slots(2, LARGEST)
    assert {slots.reserve(), slots.reserve()} == {0, 1}
    assert slots.reserve() is None


def test_without_capacity_there_are_no_slots():
    slots = Slots(2, 0)
    assert slots.reserve() is None
    assert len(slots.memory(None)) == len(slots.lend(None)) == 0


def test_what_is_written_to_a_slot_is_what_is_lent():
    slots = Slots(3, LARGEST)
    slot = slots.reserve()
    slots.memory(slot)[:] = 7
    lent = slots.lend(slot)
    assert len(lent) == LARGEST and set(lent.tolist()) == {7}
    assert set(slots.memory((slot + 1) % 3).tolist()) == {0}
