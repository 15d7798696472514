from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from imageclf import InputError
from imageclf.data.augmentation import Augmentation
from imageclf.data.datamodule import ImageData, Loading
from imageclf.data.table import make_table
from imageclf.schedule import Phase, Schedule

SIDE_ON = Augmentation(
    max_rotate=10, p_rotate=0.75, max_zoom=1.1, p_zoom=0.75, max_lighting=0.05, p_flip=0.5, dihedral=False
)
SCHEDULE = Schedule(
    {
        "head": Phase(n_cycles=2, augment=False, precompute=True),
        "finetune": Phase(batch_size=3, unfreeze_to=0),
        "bigger": Phase(size=24, unfreeze_to=0, augment=False),
    }
)
SPLITS = [
    "train",
    "valid",
    "train",
    "train",
    "valid",
    "train",
    "train",
    "test",
    "train",
    "train",
    "valid",
    "train",
]
LABELS = ["cat", "cat", "dog", "cat", "dog", "cat", "cat", "", "cat", "dog", "dog", "cat"]
TRAIN, VALID = [0, 2, 3, 5, 6, 8, 9, 11], [1, 4, 10]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Draw twelve noisy pictures."""
    folder, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(12):
        pixels = generator.integers(0, 256, (20, 26, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def image_data(folder, splits=SPLITS, schedule=SCHEDULE, rank=None, epoch=0, **loading):
    """Make the data of the first pictures, as one rank of two sees them if a rank is given."""
    ids = [str(index) for index in range(len(splits))]
    paths = [str(folder / f"{name}.png") for name in ids]
    table = make_table({"id": ids, "path": paths, "label": LABELS[: len(ids)], "split": splits})
    options = {"size": 16, "batch_size": 4, "num_workers": 0, "resize": "crop", "oversample": "none"}
    loading = Loading(**(options | {"on_error": "raise"} | loading))
    data = ImageData(table, loading, schedule, SIDE_ON, crop_pct=1.0, seed=42)
    if rank is not None or epoch:
        data.trainer = SimpleNamespace(
            global_rank=rank or 0, world_size=1 if rank is None else 2, current_epoch=epoch
        )
    return data


def rows_of(requests):
    """List the rows of requests."""
    return [request.rows.tolist() for request in requests]


def flat(rows):
    """Join the rows of all batches."""
    return list(chain.from_iterable(rows))


def same(one, two):
    """Compare two lists of batches bit for bit."""
    pairs = zip(one, two, strict=True)
    return [torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in pairs]


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
    told = data.num_batches(SCHEDULE.at(epoch).phase)
    assert told == len(list(data.training_requests(epoch))) == batches


def test_too_few_pictures_for_the_ranks_are_refused(folder):
    with pytest.raises(InputError, match=r"^1 training pictures on 2 ranks make no batch"):
        image_data(folder, splits=["train", "valid"]).num_batches(Phase(), world_size=2)


@pytest.mark.parametrize(("name", "low"), [("size", 1), ("batch_size", 1), ("num_workers", 0)])
def test_a_loading_out_of_range_is_refused_by_its_key(folder, name, low):
    with pytest.raises(InputError, match=rf"^data\.{name}={low - 1}: give a whole number from {low}"):
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
    data = image_data(folder, epoch=epoch)
    data.resume_at = (2, 2)
    assert len(list(data.train_dataloader())) == batches


def test_a_resumed_epoch_is_still_told_in_full_length(folder):
    data = image_data(folder, epoch=2)
    data.resume_at = (2, 2)
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


def features_of(split, size):
    """Return features that tell their split, the size, and their place in the split."""
    count = len(TRAIN if split == "train" else VALID)
    return torch.stack([torch.full((count,), float(size)), torch.arange(count)], dim=1)


def test_features_take_the_place_of_pictures(folder):
    data = image_data(folder)
    data.feature_source = features_of
    batches = list(data.train_dataloader())
    assert [batch.images for batch in batches] == [None, None]
    assert [tuple(batch.features.shape) for batch in batches] == [(4, 2), (4, 2)]


@pytest.mark.parametrize(("loader", "rows"), [("train_dataloader", TRAIN), ("val_dataloader", VALID)])
def test_each_picture_gets_its_own_features_and_label(folder, loader, rows):
    data = image_data(folder)
    data.feature_source = features_of
    batches = list(getattr(data, loader)())
    found = {
        int(row): (*features.tolist(), ["cat", "dog"][label])
        for batch in batches
        for row, features, label in zip(batch.rows, batch.features, batch.labels, strict=True)
    }
    assert found == {row: (16.0, float(place), LABELS[row]) for place, row in enumerate(rows)}


def test_features_come_in_the_order_of_the_pictures(folder):
    with_features, with_pictures = image_data(folder), image_data(folder)
    with_features.feature_source = features_of
    rows = [
        [batch.rows.tolist() for batch in data.train_dataloader()] for data in (with_features, with_pictures)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_phase_without_precompute_reads_pictures_though_there_are_features(folder, epoch):
    data = image_data(folder, epoch=epoch)
    data.feature_source = features_of
    assert [batch.features for batch in [*data.train_dataloader(), *data.val_dataloader()]] == [None] * (
        6 - epoch
    )


def test_precompute_without_a_source_of_features_reads_pictures(folder):
    assert [batch.features for batch in image_data(folder).train_dataloader()] == [None, None]
