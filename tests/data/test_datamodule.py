"""Which pictures an epoch reads, in which order and at which size."""

import json

import pytest
import torch
from presets import caching
from small_data import SCHEDULE, TRAIN, VALID, flat, image_data, rows_of, same

from imageclf import InputError
from imageclf.data import requests as requests_module
from imageclf.data.loader import RequestLoader
from imageclf.schedule import Phase, Schedule


@pytest.mark.parametrize(("epoch", "size"), [(0, 16), (1, 16), (2, 16), (3, 24)])
def test_a_phase_reads_pictures_of_its_size(folder, epoch, size):
    assert {request.size for request in image_data(folder).training_requests(epoch)} == {size}


@pytest.mark.parametrize(("epoch", "sizes"), [(0, [4, 4]), (1, [4, 4]), (2, [3, 3, 2]), (3, [4, 4])])
def test_a_phase_makes_batches_of_its_size(folder, epoch, sizes):
    assert [len(rows) for rows in rows_of(image_data(folder).training_requests(epoch))] == sizes


@pytest.mark.parametrize(("epoch", "view"), [(0, 0), (1, 0), (2, 1), (3, 0)])
def test_only_a_phase_that_augments_draws_views(folder, epoch, view):
    views = [request.views.tolist() for request in image_data(folder).training_requests(epoch)]
    assert {each for batch in views for each in batch} == {view}


@pytest.mark.parametrize("epoch", range(4))
def test_every_training_picture_comes_once_an_epoch(folder, epoch):
    assert sorted(flat(rows_of(image_data(folder).training_requests(epoch)))) == TRAIN


def test_epochs_come_in_orders_of_their_own(folder):
    orders = {str(flat(rows_of(image_data(folder).training_requests(epoch)))) for epoch in range(4)}
    assert len(orders) == 4


def test_requests_carry_the_epoch_of_the_run(folder):
    epochs = [request.epoch for epoch in range(4) for request in image_data(folder).training_requests(epoch)]
    assert epochs == [0, 0, 1, 1, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_an_epoch_goes_on_at_the_batch_it_is_asked_for(folder, start):
    whole = rows_of(image_data(folder).training_requests(2))
    assert rows_of(image_data(folder).training_requests(2, start)) == whole[start:]


@pytest.mark.parametrize("epoch", range(4))
def test_two_ranks_share_out_the_batches_of_one(folder, epoch):
    half = {"batch_size": 2, "schedule": Schedule({"all": Phase(n_cycles=4, unfreeze_to=0)})}
    ranks = [rows_of(image_data(folder, rank=rank, **half).training_requests(epoch)) for rank in (0, 1)]
    whole = rows_of(image_data(folder, **half | {"batch_size": 4}).training_requests(epoch))
    assert [sorted(one + two) for one, two in zip(*ranks, strict=True)] == [sorted(rows) for rows in whole]


def test_copies_of_a_picture_are_drawn_as_views_of_their_own(folder):
    requests = list(image_data(folder, oversample="repeat").training_requests(2))
    drawn = [(row, view) for each in requests for row, view in zip(each.rows, each.views, strict=True)]
    assert len(drawn) == len(set(drawn)) == 12


def test_copies_of_a_picture_stay_plain_where_nothing_is_augmented(folder):
    requests = list(image_data(folder, oversample="repeat").training_requests(3))
    assert [view for request in requests for view in request.views] == [0] * 12


@pytest.mark.parametrize(
    ("how", "epoch", "batches"), [("none", 0, 2), ("none", 2, 3), ("repeat", 0, 3), ("weighted", 2, 3)]
)
def test_the_number_of_batches_is_that_of_the_requests(folder, how, epoch, batches):
    data = image_data(folder, oversample=how)
    told = data.num_batches(SCHEDULE.at(epoch))
    assert told == len(list(data.training_requests(epoch))) == batches


def test_fewer_pictures_than_ranks_make_a_batch(folder):
    assert image_data(folder, splits=["train", "valid"]).num_batches(SCHEDULE.at(0), world_size=2) == 1


def test_training_without_pictures_is_refused(folder):
    with pytest.raises(InputError, match=r"^0 training pictures make no batch"):
        image_data(folder, splits=["valid", "valid"]).num_batches(SCHEDULE.at(0))


def test_a_batch_says_its_weight_and_the_size_of_the_global_one(folder):
    data = image_data(folder)
    told = [(batch.weight, batch.total) for batch in data.training_batches(2)]
    assert told == [(1.0, len(rows)) for rows in rows_of(data.training_requests(2))]


@pytest.mark.parametrize(
    ("name", "low"),
    [("size", 1), ("batch_size", 1), ("global_batch_size", 1), ("channels", 1), ("num_workers", 0)],
)
def test_a_loading_out_of_range_is_refused_by_its_key(folder, name, low):
    with pytest.raises(InputError, match=rf"^data\.{name}={low - 1}: give a (whole )?number from {low} to"):
        image_data(folder, **{name: low - 1})


def test_evaluation_reads_every_picture_of_the_split_in_order(folder):
    assert rows_of(image_data(folder, batch_size=2).evaluation_requests("valid", 16)) == [[1, 4], [10]]


def test_evaluation_of_each_split_reads_its_own_pictures(folder):
    data = image_data(folder)
    splits = {
        split: flat(rows_of(data.evaluation_requests(split, 16))) for split in ("train", "valid", "test")
    }
    assert splits == {"train": TRAIN, "valid": VALID, "test": [7]}


def test_the_views_of_a_picture_are_next_to_each_other(folder):
    requests = list(image_data(folder, batch_size=6).evaluation_requests("valid", 16, views=(0, 1, 2)))
    assert rows_of(requests) == [[1, 1, 1, 4, 4, 4], [10, 10, 10]]
    assert [request.views.tolist() for request in requests] == [[0, 1, 2, 0, 1, 2], [0, 1, 2]]


def test_more_views_than_fit_a_batch_still_stay_together(folder):
    requests = image_data(folder, batch_size=2).evaluation_requests("valid", 16, views=(0, 1, 2))
    assert rows_of(requests) == [[1] * 3, [4] * 3, [10] * 3]


def test_two_ranks_evaluate_every_picture_once(folder):
    ranks = [image_data(folder, rank=rank, batch_size=1) for rank in (0, 1)]
    assert [rows_of(rank.evaluation_requests("valid", 16)) for rank in ranks] == [[[1], [10]], [[4]]]


def test_evaluation_takes_the_size_it_is_asked_for(folder):
    requests = list(image_data(folder).evaluation_requests("valid", 40))
    assert [(request.size, request.epoch) for request in requests] == [(40, 0)]


def test_the_trainer_reads_the_requests_of_the_epoch(folder):
    data = image_data(folder, epoch=2)
    expected = [data.training_requests(2)]
    batches = list(data.train_dataloader())
    assert [batch.rows.tolist() for batch in batches] == rows_of(expected[0])


def test_the_trainers_loader_is_as_long_as_the_epoch(folder):
    assert [len(image_data(folder, epoch=epoch).train_dataloader()) for epoch in range(4)] == [2, 2, 3, 2]


@pytest.mark.parametrize(("epoch", "batches"), [(1, 2), (2, 1), (3, 2)])
def test_a_resumed_run_skips_batches_in_its_first_epoch_alone(folder, epoch, batches):
    data = image_data(folder, epoch=epoch, start=(2, 2))
    assert len(list(data.train_dataloader())) == batches


def test_a_resumed_epoch_is_still_told_in_full_length(folder):
    data = image_data(folder, epoch=2, start=(2, 2))
    assert len(data.train_dataloader()) == 3


def test_training_batches_are_read_with_the_pixels_of_their_phase(folder):
    shapes = {tuple(batch.images.shape[1:]) for batch in image_data(folder).training_batches(3)}
    assert shapes == {(3, 24, 24)}


def test_the_finder_reads_the_batches_that_training_will_see(folder):
    data = image_data(folder, epoch=2)
    assert same(data.training_batches(2), data.train_dataloader()) == [True] * 3


def test_workers_read_the_same_epoch(folder):
    two = image_data(folder, num_workers=2, epoch=2)
    assert same(two.train_dataloader(), image_data(folder, epoch=2).train_dataloader()) == [True] * 3


@pytest.mark.parametrize(
    ("device", "kept", "workers"),
    [("cpu", "raw", 4), ("cpu", "none", 4), ("cuda", "raw", 8), ("cuda", "jpeg", 15), ("cuda", "none", 15)],
)
def test_automatic_workers_follow_device_and_store(folder, tmp_path, monkeypatch, device, kept, workers):
    monkeypatch.setattr("imageclf.data.loading.available_cores", lambda: 16)
    # The set is too small for any.
    monkeypatch.setattr("imageclf.system.machine._FEW_PICTURES", 1)
    kept_as = caching(tmp_path / "cache", cache=kept)
    data = image_data(folder, epoch=2, num_workers="auto", kept=kept_as, device_store="off")
    data.trainer.strategy.root_device = torch.device(device)
    data.setup("fit")
    assert data.num_workers == workers


def test_a_small_set_has_no_automatic_workers(folder, monkeypatch):
    monkeypatch.setattr("imageclf.data.loading.available_cores", lambda: 16)
    assert image_data(folder, num_workers="auto").num_workers == 0


def test_the_ranks_of_a_machine_share_its_cores(folder, monkeypatch):
    monkeypatch.setattr("imageclf.data.loading.available_cores", lambda: 64)
    monkeypatch.setattr("imageclf.system.machine._FEW_PICTURES", 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert image_data(folder, num_workers="auto").num_workers == 4


def test_workers_that_are_given_are_taken_whatever_the_machine(folder, monkeypatch):
    monkeypatch.setattr("imageclf.data.loading.available_cores", lambda: 1)
    assert image_data(folder, num_workers=3).num_workers == 3


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("mps", False), ("cuda", True)])
def test_batches_are_pinned_for_cuda_alone(folder, monkeypatch, device, pinned):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = []

    class Noting(RequestLoader):
        def __init__(self, *arguments, **options):
            asked.append(arguments[3])
            super().__init__(*arguments[:3])

    monkeypatch.setattr("imageclf.data.datamodule.RequestLoader", Noting)
    data = image_data(folder, epoch=2)
    data.trainer.strategy.root_device = torch.device(device)
    list(data.train_dataloader())
    assert asked == [pinned]


def test_validation_reads_plain_pictures_at_the_phases_size(folder):
    data = image_data(folder, epoch=3)
    expected = data.read(data.evaluation_requests("valid", 24))
    assert same(data.val_dataloader(), expected) == [True]


@pytest.mark.parametrize(("batch_size", "batches"), [(1, 3), (2, 2), (3, 1), (4, 1)])
def test_the_validation_loader_tells_its_length(folder, batch_size, batches):
    loader = image_data(folder, batch_size=batch_size).val_dataloader()
    assert len(loader) == len(list(loader)) == batches


def test_nothing_held_out_means_an_empty_validation(folder):
    data = image_data(folder, splits=["train"] * 12)
    loader = data.val_dataloader()
    assert (data.has_validation, len(loader), list(loader)) == (False, 0, [])


def test_setting_up_stores_the_pictures_of_every_size_of_the_schedule(folder, tmp_path):
    data = image_data(folder, kept=caching(tmp_path))
    data.setup("fit")
    abouts = [json.loads(path.read_text()) for path in tmp_path.glob("pictures/*/about.json")]
    assert sorted(about["size"] for about in abouts) == [16, 24]


@pytest.mark.parametrize(("cache", "lossy"), [("raw", False), ("jpeg", True), ("none", False)])
def test_views_of_stored_jpegs_are_known_to_be_lossy(folder, tmp_path, cache, lossy):
    data = image_data(folder, kept=caching(tmp_path, cache=cache))
    data.setup("fit")
    assert [data.is_lossy(size) for size in (16, 24, 99)] == [lossy, lossy, False]


def test_pictures_from_a_store_are_those_from_their_files(folder, tmp_path):
    stored, files = image_data(folder, kept=caching(tmp_path), epoch=2), image_data(folder, epoch=2)
    stored.setup("fit")
    assert same(stored.train_dataloader(), files.train_dataloader()) == [True] * 3


def test_pictures_are_counted_once_however_often_their_batches_are_asked_for(folder, monkeypatch):
    data = image_data(folder, oversample="repeat")
    drawn = []
    draw = requests_module.oversample
    monkeypatch.setattr(requests_module, "oversample", lambda *given: drawn.append(1) or draw(*given))
    assert {data.num_batches(SCHEDULE.at(0)) for _ in range(3)} == {3}
    assert len(drawn) == 1
