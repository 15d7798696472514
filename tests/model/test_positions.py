"""Weights of a vision transformer that was trained on wide pictures go on at another size."""

import pytest
import timm
import torch

from imageclf.model.backbone import create_backbone
from imageclf.model.weights.positions import fitted_positions, grid_note, noted_grid
from imageclf.schedule.size import Oblong

WIDE = Oblong(64, 256)
"""4 x 16 patches of test_vit: as many as a square of 128 pixels has."""


@pytest.fixture(scope="module")
def wide():
    """Return a network for wide pictures with weights as training leaves them."""
    torch.manual_seed(0)
    body = create_backbone("test_vit", "none", WIDE)
    torch.nn.init.normal_(body.pos_embed)
    return body


@pytest.fixture(scope="module")
def file(wide, tmp_path_factory):
    """Return a file of these weights, as a run writes it."""
    path = tmp_path_factory.mktemp("weights") / "final.ckpt"
    state = {f"backbone.{name}": value for name, value in wide.state_dict().items()}
    torch.save({"state_dict": state, "classes": ["a", "b"], **grid_note(wide)}, path)
    return str(path)


def moved_by_timm(body, size):
    """Return the position embeddings of a copy that timm itself has set to another size."""
    copy = timm.create_model("test_vit", num_classes=0, img_size=WIDE)
    copy.load_state_dict(body.state_dict())
    copy.set_input_size(img_size=size)
    return copy.pos_embed


@pytest.mark.parametrize("size", [128, Oblong(256, 64), Oblong(32, 512), 160, Oblong(128, 256)])
def test_positions_of_a_wide_run_stay_where_they_were_in_the_picture(wide, file, size):
    found = create_backbone("test_vit", file, size).pos_embed
    torch.testing.assert_close(found, moved_by_timm(wide, size))


def test_the_same_size_takes_them_as_they_are(wide, file):
    assert torch.equal(create_backbone("test_vit", file, WIDE).pos_embed, wide.pos_embed)


def test_another_number_of_channels_does_not_move_them(wide, file):
    grey = create_backbone("test_vit", file, 128, channels=1)
    torch.testing.assert_close(grey.pos_embed, moved_by_timm(wide, 128))


def test_a_square_as_large_as_a_wide_picture_is_resampled_for_it(tmp_path):
    square = create_backbone("test_vit", "none", 128)
    torch.nn.init.normal_(square.pos_embed)
    torch.save(square.state_dict(), tmp_path / "w.pth")
    found = create_backbone("test_vit", str(tmp_path / "w.pth"), WIDE).pos_embed
    square.set_input_size(img_size=WIDE)
    torch.testing.assert_close(found, square.pos_embed)


@pytest.mark.parametrize(("name", "size"), [("test_vit", 128), ("test_resnet", Oblong(32, 64))])
def test_files_of_squares_and_of_convolutions_say_nothing(name, size):
    assert grid_note(create_backbone(name, "none", size)) == {}


@pytest.mark.parametrize("grid", [None, "4x16", [4], [4, 16, 1], [4, "16"], [0, 16], [4.0, 16]])
def test_a_grid_that_no_run_writes_is_not_believed(grid):
    assert noted_grid({"grid": grid}) is None


def test_a_grid_of_another_number_of_patches_changes_nothing(wide):
    state = wide.state_dict()
    assert fitted_positions(state, create_backbone("test_vit", "none", 128), (5, 16)) is state
