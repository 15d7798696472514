"""A transform of the user's own gets a picture and returns one; torchvision's get a tensor."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from imageclf import InputError
from imageclf.data.views.extra import as_extra, checked_view, try_extra

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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_transform_is_tried_on_a_picture_like_those_of_the_run(dtype: type) -> None:
    with pytest.raises(InputError, match=rf"not an array \[8, 16, 5\] of {dtype.__name__}, 0 to "):
        try_extra(np.sqrt, (8, 16, 5), np.dtype(dtype))
    try_extra(np.flipud, (8, 16, 5), np.dtype(dtype))


def test_trying_a_transform_leaves_the_random_generators_as_they_were() -> None:
    def noise(picture: np.ndarray) -> np.ndarray:
        torch.rand(1)
        picture[:] = np.random.randint(0, 256, picture.shape)
        return picture

    torch.manual_seed(1)
    expected, before = torch.rand(1), np.random.get_state()[1].tolist()
    torch.manual_seed(1)
    try_extra(noise, (8, 8, 3), np.dtype(np.uint8))
    assert torch.equal(torch.rand(1), expected)
    assert np.random.get_state()[1].tolist() == before
