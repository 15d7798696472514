"""data.batch_size=auto: a function of the number of training pictures."""

import pytest

from imageclf import InputError
from imageclf.data.loading import auto_batch_size
from imageclf.training.build import build_parts
from imageclf.training.parts.table import read_table


@pytest.mark.parametrize(
    ("pictures", "expected"),
    [(1, 8), (48, 8), (159, 8), (160, 16), (319, 16), (320, 32), (639, 32), (640, 64), (23_000, 64)],
)
def test_an_epoch_has_ten_steps_where_eight_pictures_make_ten(pictures, expected):
    assert auto_batch_size(pictures) == expected


def test_a_training_takes_the_number_for_its_training_pictures(parsed, caplog):
    config = parsed("data.batch_size=auto")
    with caplog.at_level("INFO"):
        parts = build_parts(config, read_table(config.data, verify=False))
    assert parts.data.loading.batch_size == 8
    assert [parts.data.num_batches(place) for place in parts.schedule.places] == [3, 3]
    assert caplog.messages[0].endswith(", batches of 8")


def test_a_number_stays(parsed):
    config = parsed("data.batch_size=5")
    assert build_parts(config, read_table(config.data, verify=False)).data.loading.batch_size == 5


def test_the_batches_of_several_processes_need_a_number(parsed):
    with pytest.raises(InputError, match=r"data\.batch_size=auto: give a number"):
        assert parsed("data.batch_size=auto").data.loading.pictures_a_step
