"""A transform of the user's own gets a picture and returns one; torchvision's get a tensor."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from imageclf import InputError
from imageclf.data.views.extra import as_extra, checked_view

PICTURE = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def test_a_transform_of_torchvision_changes_the_picture() -> None:
    posterize = as_extra(v2.RandomPosterize(bits=1, p=1.0), "torchvision.transforms.v2.RandomPosterize")
    # One bit of eight is left.
    assert np.array_equal(checked_view(posterize(PICTURE), PICTURE), PICTURE & 128)


def test_a_function_gets_the_picture_as_it_is() -> None:
    assert as_extra(np.flipud, "numpy.flipud") is np.flipud


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(InputError, match=r"^transforms\.extra\._target_=mine\.Text gives a str, which"):
        as_extra("text", "mine.Text")


def test_an_array_and_an_image_are_pictures() -> None:
    assert checked_view(PICTURE, PICTURE) is PICTURE
    assert np.array_equal(checked_view(Image.fromarray(PICTURE), PICTURE), PICTURE)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        # Shown as they are, these would be black.
        (PICTURE / 255, r"ndarray \[8, 8, 3\] of float64"),
        (torch.from_numpy(PICTURE).permute(2, 0, 1), r"Tensor \[3, 8, 8\] of uint8"),
        (PICTURE[:4], r"ndarray \[4, 8, 3\] of uint8"),
        (PICTURE[..., 0], r"ndarray \[8, 8\] of uint8"),
        (None, "NoneType"),
        ({"image": PICTURE}, "dict"),
    ],
)
def test_what_is_no_picture_of_that_size_is_refused(returned: object, said: str) -> None:
    with pytest.raises(
        InputError, match=rf"^transforms\.extra returns {said}, not an array \[8, 8, 3\] of uint8"
    ):
        checked_view(returned, PICTURE)
