from multiprocessing import active_children

import numpy as np
import pytest
import torch
from PIL import Image
from presets import SIDE_ON

from imageclf import InputError
from imageclf.data.dataset import PictureDataset, Request
from imageclf.data.loader import EpochLoader, RequestLoader

REQUESTS = [
    Request(np.array([0, 1, 2]), np.array([1, 1, 1]), epoch=0, size=16),
    Request(np.array([3, 3]), np.array([0, 2]), epoch=0, size=16),
    Request(np.array([5]), np.array([0]), epoch=4, size=24),
    Request(np.array([4, 0, 1, 2, 3]), np.array([1, 2, 3, 4, 5]), epoch=7, size=8),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Make a dataset of six noisy pictures."""
    folder, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = [str(folder / f"{index}.png") for index in range(6)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    return PictureDataset(paths, np.arange(6), SIDE_ON, "crop", 1.0, 42)


@pytest.fixture(scope="module")
def workers(dataset):
    """Start two workers once for all tests."""
    return RequestLoader(dataset, num_workers=2)


def same(one, two):
    """Compare two lists of batches bit for bit."""
    pairs = zip(one, two, strict=True)
    return [torch.equal(a.images, b.images) and torch.equal(a.rows, b.rows) for a, b in pairs]


def test_two_workers_read_what_the_process_itself_reads(dataset, workers):
    assert same(workers.read(REQUESTS), RequestLoader(dataset, 0).read(REQUESTS)) == [True] * 4


def test_batches_come_in_the_order_of_the_requests(dataset):
    batches = RequestLoader(dataset, 0).read(REQUESTS)
    assert [batch.rows.tolist() for batch in batches] == [[0, 1, 2], [3, 3], [5], [4, 0, 1, 2, 3]]


def test_one_loader_answers_one_reading_after_another(dataset, workers):
    first, second = list(workers.read(REQUESTS[:2])), list(workers.read(REQUESTS[2:]))
    assert same([*first, *second], map(dataset.__getitem__, REQUESTS)) == [True] * 4


def test_a_reading_that_was_broken_off_leaves_nothing_to_the_next(dataset, workers):
    broken = workers.read(REQUESTS * 5)
    next(broken)
    broken.close()
    assert same(workers.read(REQUESTS), map(dataset.__getitem__, REQUESTS)) == [True] * 4


def test_workers_live_from_one_reading_to_the_next(dataset):
    others, alive = set(active_children()), []
    workers = RequestLoader(dataset, num_workers=2)
    for _ in range(2):
        list(workers.read(REQUESTS))
        alive.append(set(active_children()) - others)
    assert alive[0] == alive[1] and len(alive[0]) == 2


def test_no_requests_give_no_batches(dataset, workers):
    assert [*workers.read([]), *RequestLoader(dataset, 0).read([])] == []


def test_workers_keep_the_strides_of_pictures(workers):
    batches = list(workers.read(REQUESTS))
    assert [batch.images.is_contiguous(memory_format=torch.channels_last) for batch in batches] == [True] * 4


def test_reading_leaves_the_global_generator_alone(dataset):
    before = torch.get_rng_state()
    list(RequestLoader(dataset, 0).read(REQUESTS))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_file_that_has_gone_is_named_from_wherever_it_is_read(tmp_path, num_workers):
    dataset = PictureDataset([str(tmp_path / "gone.png")], np.array([0]), SIDE_ON, "crop", 1.0, 0)
    request = Request(np.array([0]), np.array([0]), 0, 8)
    with pytest.raises(InputError, match=r"gone\.png: there is no such file"):
        list(RequestLoader(dataset, num_workers).read([request]))


def test_an_epoch_loader_asks_for_batches_only_when_the_first_is_taken():
    asked = []

    def batches():
        asked.append(True)
        return iter(["batch"])

    iterator = iter(EpochLoader(batches, lambda: 1))
    before = len(asked)
    assert (before, next(iterator), len(asked)) == (0, "batch", 1)


def test_an_epoch_loader_is_as_long_as_the_whole_epoch():
    loader = EpochLoader(lambda: iter(["last"]), lambda: 5)
    assert (len(loader), list(loader)) == (5, ["last"])


def test_an_epoch_loader_has_nothing_to_save():
    loader = EpochLoader(lambda: iter([]), lambda: 0)
    loader.load_state_dict(loader.state_dict())
    assert loader.state_dict() == {}


def test_closed_in_the_middle_of_a_reading_it_ends_its_workers_at_once_and_can_be_read_again(dataset):
    loader = RequestLoader(dataset, num_workers=2)
    before = set(active_children())
    unfinished = loader.read(REQUESTS)
    next(unfinished)
    assert len(set(active_children()) - before) == 2
    loader.close()
    assert set(active_children()) <= before
    assert all(same(loader.read(REQUESTS), [dataset[request] for request in REQUESTS]))
    loader.close()
