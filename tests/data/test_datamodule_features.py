"""Cached features in the place of pictures."""

import pytest
import torch
from small_data import LABELS, TRAIN, VALID, image_data


def features_of(split, size):
    """Return features that tell their split, the size, and their place in the split."""
    count = len(TRAIN if split == "train" else VALID)
    return torch.stack([torch.full((count,), float(size)), torch.arange(count)], dim=1)


def test_features_take_the_place_of_pictures(folder):
    data = image_data(folder)
    data.use_features(features_of)
    batches = list(data.train_dataloader())
    assert [batch.images for batch in batches] == [None, None]
    assert [tuple(batch.features.shape) for batch in batches] == [(4, 2), (4, 2)]


@pytest.mark.parametrize(("loader", "rows"), [("train_dataloader", TRAIN), ("val_dataloader", VALID)])
def test_each_picture_gets_its_own_features_and_label(folder, loader, rows):
    data = image_data(folder)
    data.use_features(features_of)
    batches = list(getattr(data, loader)())
    found = {
        int(row): (*features.tolist(), ["cat", "dog"][label])
        for batch in batches
        for row, features, label in zip(batch.rows, batch.features, batch.labels, strict=True)
    }
    assert found == {row: (16.0, float(place), LABELS[row]) for place, row in enumerate(rows)}


def test_features_come_in_the_order_of_the_pictures(folder):
    with_features, with_pictures = image_data(folder), image_data(folder)
    with_features.use_features(features_of)
    rows = [
        [batch.rows.tolist() for batch in data.train_dataloader()] for data in (with_features, with_pictures)
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("epoch", [2, 3])
def test_a_phase_without_precompute_reads_pictures_though_there_are_features(folder, epoch):
    data = image_data(folder, epoch=epoch)
    data.use_features(features_of)
    assert [batch.features for batch in [*data.train_dataloader(), *data.val_dataloader()]] == [None] * (
        6 - epoch
    )


def test_precompute_without_a_source_of_features_reads_pictures(folder):
    assert [batch.features for batch in image_data(folder).train_dataloader()] == [None, None]
