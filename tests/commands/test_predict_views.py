"""imageclf-predict with test-time augmentation."""

import numpy as np
import pytest
from predicting import predict_options

from imageclf import InputError
from imageclf.commands.predict import predict_pictures
from imageclf.evaluation.tta_presets import PLAIN, weighted_views
from imageclf.training.build import build_parts
from imageclf.training.parts.table import table_of_run
from imageclf.training.run_config import read_run_config

CLASSES = ["blue", "green", "red"]


def options(**given):
    return predict_options(**({"run": "x", "data": "x", "weights": "final", "batch_size": 7} | given))


@pytest.fixture
def predict(finished_run, dataset, tmp_path):
    """Return a function that predicts four pictures and returns probabilities `[4, 3]`."""

    def run(**given):
        chosen = options(
            run=str(finished_run),
            data=str(dataset / "valid" / "red"),
            output=f"{tmp_path}/x.csv",
            overwrite=True,
            **given,
        )
        return predict_pictures(chosen).table[CLASSES].to_numpy()

    return run


def test_a_number_alone_is_that_of_fastai07(predict):
    np.testing.assert_array_equal(predict(num_augmented=4), predict(tta="fastai07"))


def test_no_augmented_view_is_no_augmentation(predict):
    np.testing.assert_array_equal(predict(num_augmented=0), predict())


@pytest.mark.parametrize("preset", ["fastai07", "fastai2", "fastai1", "five_crops"])
def test_each_preset_predicts_something_else(predict, preset):
    probabilities = predict(tta=preset)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert not np.allclose(probabilities, predict(), atol=1e-4)


def test_beta_one_is_the_plain_view(predict):
    np.testing.assert_allclose(predict(tta="fastai1", beta=1.0), predict(), atol=1e-9)


def test_five_crops_are_the_mean_of_what_the_network_says_of_ten_views(predict, finished_run, dataset):
    import torch

    from imageclf.data import Request

    config = read_run_config(finished_run)
    _, module, data = build_parts(config, table_of_run(finished_run, config))
    content = torch.load(finished_run / "snapshots/final.ckpt", weights_only=True)
    module.model.load_state_dict(content["state_dict"])
    rows = np.repeat(data.table.rows("test"), 10)
    views = np.tile([0, *range(-9, -18, -1)], 4)
    with torch.no_grad():
        batch = data._dataset[Request(rows, views, 0, 32)]
        probabilities = module.model.eval()(batch.images).softmax(1).reshape(4, 10, 3)
    np.testing.assert_allclose(predict(tta="five_crops"), probabilities.mean(1).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, PLAIN),
        ({"num_augmented": 2}, weighted_views("fastai07", 2, None)),
        ({"num_augmented": 2, "beta": 0.5}, weighted_views("fastai07", 2, 0.5)),
        ({"tta": "fastai2"}, weighted_views("fastai2", 4, None)),
        ({"tta": "fastai2", "num_augmented": 9}, weighted_views("fastai2", 9, None)),
        ({"tta": "five_crops", "beta": 0.3}, weighted_views("five_crops", 4, 0.3)),
    ],
)
def test_the_options_say_which_views(given, expected):
    views = options(**given).views()
    assert views.numbers == expected.numbers
    np.testing.assert_array_equal(views.weights, expected.weights)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_augmented": -1}, "num_augmented=-1: give a whole number from 0"),
        ({"tta": "fastai1", "num_augmented": 4}, "num_augmented=4: tta=fastai1 has fixed views"),
        ({"beta": 0.3}, "beta=0.3: give tta=fastai2 or another one, too"),
        ({"tta": "fastai1", "beta": 2}, "beta=2: give a number from 0 to 1, or null for that of fastai1"),
    ],
)
def test_views_that_there_cannot_be_are_refused(given, said):
    with pytest.raises(InputError) as refused:
        options(**given)
    assert str(refused.value) == said


def test_an_unknown_precision_is_refused_by_the_key_of_this_command():
    with pytest.raises(InputError, match=r"^precision=half: give auto, 32-true"):
        options(precision="half")
