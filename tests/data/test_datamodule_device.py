"""The pictures of a run on the device that trains: the same batches, and no workers."""

import multiprocessing

import pytest
import torch
from presets import caching, preset
from small_data import SCHEDULE, image_data, rows_of
from test_datamodule_features import features_of

from imageclf import InputError


def on_device(folder, root, **options):
    """Make data whose pictures are on the device, here the CPU."""
    data = image_data(folder, kept=caching(root, cache="raw"), device_store="on", **options)
    data.setup("fit")
    return data


def on_cpu(folder, root, **options):
    """Make the same data, read by the CPU's path from the same stores."""
    data = image_data(folder, kept=caching(root, cache="raw"), device_store="off", **options)
    data.setup("fit")
    return data


def assert_alike(one, other):
    """Compare batches: the same pictures in the same order, pixels within a step of 255 on average."""
    one, other = list(one), list(other)
    assert [batch.rows.tolist() for batch in one] == [batch.rows.tolist() for batch in other]
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.labels, b.labels) and (a.weight, a.total) == (b.weight, b.total)
        assert a.images.shape == b.images.shape
        assert (a.images.float() - b.images.float()).abs().mean() <= 1
    assert one != []


@pytest.mark.parametrize("epoch", range(4))
def test_an_epoch_has_the_batches_that_workers_make(folder, tmp_path, epoch):
    data = [make(folder, tmp_path, epoch=epoch) for make in (on_device, on_cpu)]
    assert_alike(*(each.train_dataloader() for each in data))
    assert_alike(*(each.val_dataloader() for each in data))


def test_copies_random_parts_and_views_are_those_that_workers_make(folder, tmp_path):
    options = {"resize": "random_resized_crop", "oversample": "repeat", "augmentation": preset("fastai2")}
    data = [make(folder, tmp_path, epoch=2, **options) for make in (on_device, on_cpu)]
    assert_alike(*(each.train_dataloader() for each in data))
    views = (0, 1, 2, -1, -9, -17)
    assert_alike(*(each.read(each.evaluation_requests("valid", 16, views)) for each in data))


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_has_its_share(folder, tmp_path, rank):
    data = [make(folder, tmp_path, rank=rank, epoch=2) for make in (on_device, on_cpu)]
    assert_alike(*(each.train_dataloader() for each in data))


def test_an_epoch_goes_on_where_it_was_left_bit_for_bit(folder, tmp_path):
    whole = list(on_device(folder, tmp_path, epoch=2).train_dataloader())
    resumed = on_device(folder, tmp_path, epoch=2, start=(2, 1))
    rest = list(resumed.train_dataloader())
    assert len(rest) == 2
    for one, other in zip(whole[1:], rest, strict=True):
        assert torch.equal(one.images, other.images)


def test_no_worker_is_started_for_pictures_on_the_device(folder, tmp_path):
    data = on_device(folder, tmp_path, epoch=2, num_workers=2)
    before = multiprocessing.active_children()
    batches = [*data.train_dataloader(), *data.val_dataloader(), *data.training_batches(2)]
    assert len(batches) == 7 and data.num_workers == 0
    assert multiprocessing.active_children() == before


def test_sizes_beside_those_of_the_schedule_are_read_by_workers(folder, tmp_path):
    data = on_device(folder, tmp_path)
    assert [data.is_on_device(size) for size in (16, 24, 40)] == [True, True, False]
    (batch,) = data.read(data.evaluation_requests("valid", 40))
    assert batch.images.shape[-1] == 40


def test_training_and_evaluation_may_be_read_in_turn_at_other_sizes(folder, tmp_path):
    data = on_device(folder, tmp_path, epoch=2)
    batches = iter(data.train_dataloader())
    first = next(batches)
    assert [b.images.shape[-1] for b in data.read(data.evaluation_requests("valid", 24))] == [24]
    rest = list(batches)
    assert rows_of(data.training_requests(2)) == [batch.rows.tolist() for batch in (first, *rest)]


def test_without_being_set_up_pictures_are_read_from_their_files(folder):
    data = image_data(folder, device_store="on", epoch=2)
    assert not data.is_on_device(16)
    assert len(list(data.train_dataloader())) == 3


def test_closing_gives_the_memory_back_and_reading_goes_on_all_the_same(folder, tmp_path):
    data = on_device(folder, tmp_path, epoch=2)
    before = list(data.val_dataloader())
    data.close()
    assert data._on_device._loaded is None
    assert torch.equal(next(iter(data.val_dataloader())).images, before[0].images)


@pytest.mark.parametrize("cache", ["jpeg", "none"])
def test_on_is_refused_where_there_are_no_raw_pictures(folder, tmp_path, cache):
    data = image_data(folder, kept=caching(tmp_path, cache=cache), device_store="on")
    with pytest.raises(
        InputError, match=r"^data\.device_store=on: .*: set data\.cache=raw, or set data\.device"
    ):
        data.setup("fit")


def test_features_take_the_place_of_pictures_on_the_device_too(folder, tmp_path):
    data = on_device(folder, tmp_path)
    data.use_features(features_of)
    assert SCHEDULE.at(0).phase.precompute
    batches = [*data.train_dataloader(), *data.val_dataloader()]
    assert [batch.images for batch in batches] == [None] * 3 and data._on_device._loaded is None


def test_no_epoch_looks_at_what_is_on_the_device(folder, tmp_path):
    data = image_data(folder, kept=caching(tmp_path, cache="raw"), device_store="on", epoch=2)
    # Whose numbers nobody can look at: waiting for them is an error there.
    data.trainer.strategy.root_device = torch.device("meta")
    data.setup("fit")
    tta = data.read(data.evaluation_requests("valid", 16, (0, 1, 2)))
    batches = [*data.train_dataloader(), *data.val_dataloader(), *tta]
    assert len(batches) == 7
    for batch in batches:
        assert all(part.is_meta for part in (batch.images, batch.labels, batch.rows))
