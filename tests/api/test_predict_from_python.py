"""What a run predicts in Python is what imageclf-predict writes, of files and of pictures in memory."""

import logging
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from predicting import predict_options

import imageclf
from imageclf import InputError
from imageclf.commands.predict import predict_pictures

CLASSES = ["blue", "green", "red"]
# Modes whose array holds the values themselves: that of a palette holds places in it.
PLAIN_MODES = ("L", "LA", "RGB", "RGBA", "I;16")


@pytest.fixture(scope="module")
def run(finished_run):
    return imageclf.load(finished_run)


@pytest.fixture(scope="module")
def commanded(finished_run, odd_pictures, tmp_path_factory):
    """Return a function that returns what imageclf-predict writes of some of the files, `[N, 3]`."""
    output = tmp_path_factory.mktemp("predicted") / "odd.csv"

    def predict(paths=None, **given):
        data = str(odd_pictures[0].parent) if paths is None else [str(path) for path in paths]
        options = predict_options(
            run=str(finished_run), data=data, output=str(output), overwrite=True, **given
        )
        predict_pictures(options)
        return pd.read_csv(output)[CLASSES].to_numpy()

    return predict


def in_memory(paths):
    """Return the files without those that a large JPEG decoder shrinks while it reads."""
    return [path for path in paths if path.suffix not in (".jpg", ".jpeg")]


def opened(path):
    with Image.open(path) as image:
        image.load()
        return image


@pytest.mark.long
def test_a_folder_of_odd_files(run, odd_pictures, commanded):
    assert len(odd_pictures) >= 50
    predicted = run.predict(odd_pictures[0].parent)
    assert np.allclose(predicted.probabilities, commanded(), rtol=0, atol=1e-6)
    assert sorted(predicted.paths) == [str(path) for path in odd_pictures]


def test_paths_in_the_order_given(run, odd_pictures, commanded):
    paths = odd_pictures[5:1:-1]
    predicted = run.predict(paths)
    assert predicted.paths == [str(path) for path in paths]
    assert np.allclose(predicted.probabilities, commanded(paths), rtol=0, atol=1e-6)


def test_images_turned_transparent_deep_and_in_every_mode(run, odd_pictures, commanded):
    paths = in_memory(odd_pictures)
    assert len(paths) > 30
    predicted = run.predict([opened(path) for path in paths])
    assert np.allclose(predicted.probabilities, commanded(paths), rtol=0, atol=1e-6)


def test_arrays(run, odd_pictures, commanded):
    kept = [
        path
        for path in in_memory(odd_pictures)
        if "turned" not in path.name
        and opened(path).mode in PLAIN_MODES
        and "transparency" not in opened(path).info
    ]
    assert {opened(path).mode for path in kept} >= {"L", "RGB", "RGBA", "I;16"}
    predicted = run.predict([np.asarray(opened(path)) for path in kept])
    assert np.allclose(predicted.probabilities, commanded(kept), rtol=0, atol=1e-6)


def test_an_array_of_four_dimensions_is_as_many_pictures(run):
    pictures = np.random.default_rng(0).integers(0, 255, (5, 40, 50, 3), dtype=np.uint8)
    together = run.predict(pictures)
    assert together.ids == ["0", "1", "2", "3", "4"]
    assert np.array_equal(together.probabilities, run.predict(list(pictures)).probabilities)


@pytest.mark.parametrize("views", [{"tta": "fastai07", "num_augmented": 2}, {"tta": "five_crops"}])
def test_views_of_files_and_of_images(run, odd_pictures, commanded, views):
    paths = in_memory(odd_pictures)[:4]
    expected = commanded(paths, **views)
    assert not np.allclose(expected, commanded(paths), rtol=0, atol=1e-4)
    assert np.allclose(run.predict(paths, **views).probabilities, expected, rtol=0, atol=1e-6)
    images = [opened(path) for path in paths]
    assert np.allclose(run.predict(images, **views).probabilities, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("weights", ["best", "final", "ensemble"])
def test_the_module_and_its_transform_give_the_same_probabilities(finished_run, odd_pictures, weights):
    run = imageclf.load(finished_run, weights)
    paths = odd_pictures[::9]
    pictures = torch.stack([run.transform(path) for path in paths])
    assert pictures.dtype == torch.uint8
    with torch.no_grad():
        probabilities = run.model(pictures).softmax(1).numpy()
    assert np.allclose(probabilities, run.predict(paths).probabilities, rtol=0, atol=1e-6)


def test_the_module_is_in_eval_mode(run):
    assert not any(part.training for part in run.model.modules())


def test_the_transform_takes_an_image_and_an_array(run, odd_pictures):
    path = next(path for path in odd_pictures if path.name == "alpha.png")
    assert torch.equal(run.transform(opened(path)), run.transform(path))
    assert torch.equal(run.transform(np.asarray(opened(path))), run.transform(path))


def test_a_file_that_cannot_be_read_is_skipped_and_listed(run, dataset, tmp_path, caplog):
    shutil.copy(dataset / "valid/red/0.png", tmp_path)
    (tmp_path / "broken.png").write_text("no picture")
    predicted = run.predict(tmp_path)
    assert predicted.ids == ["0"]
    assert predicted.skipped[["id", "reason"]].to_numpy().tolist() == [["broken", "not a picture"]]
    assert "broken.png: not a picture; it is skipped (on_error=skip)" in caplog.text


def test_the_table_is_that_of_the_command(run, finished_run, dataset, tmp_path):
    output = tmp_path / "new.csv"
    options = predict_options(run=str(finished_run), data=str(dataset / "valid"), output=str(output))
    written = predict_pictures(options).table
    pd.testing.assert_frame_equal(run.predict(dataset / "valid").to_pandas(), written)


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ([], "there is nothing to predict"),
        (["a.png", np.zeros((8, 8, 3), np.uint8)], "both paths and pictures in memory"),
        (3, "int is no picture: give a path, a PIL image or a NumPy array"),
        (np.zeros((8, 8, 3)), r"an array \[8, 8, 3\] of float64 is no picture: give uint8 \[H, W, 3\]"),
        (np.zeros((3, 80, 80), np.uint8), r"an array \[3, 80, 80\] of uint8 is no picture"),
        ("nowhere.png", "data=nowhere.png: there is no such file or folder"),
    ],
    ids=["nothing", "both kinds", "a number", "floats", "channels first", "no file"],
)
def test_what_is_no_picture_is_refused(run, pictures, said):
    with pytest.raises(InputError, match=said):
        run.predict(pictures)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": "many"}, "batch_size=many: give a whole number"),
        ({"tta": "dozens"}, "tta=dozens: give fastai07"),
        ({"tta": "five_crops", "num_augmented": 3}, "num_augmented=3: tta=five_crops has fixed views"),
    ],
    ids=str,
)
def test_an_option_is_refused_as_by_the_command(run, dataset, options, said):
    with pytest.raises(InputError, match=re.escape(said)):
        run.predict(dataset / "valid", **options)


def test_a_prediction_leaves_the_process_as_it_was_and_prints_nothing(finished_run, dataset, capfd, recwarn):
    torch.manual_seed(1)
    before = torch.get_rng_state().clone(), dict(os.environ), logging.getLogger("lightning.pytorch").level
    run = imageclf.load(finished_run)
    assert len(run.predict(dataset / "valid")) == 12
    assert run.model(run.transform(dataset / "valid/red/0.png")[None]).shape == (1, 3)
    after = torch.get_rng_state(), dict(os.environ), logging.getLogger("lightning.pytorch").level
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_a_run_predicts_from_another_folder(finished_run, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(finished_run.parent)
    run = imageclf.load(finished_run.name)
    monkeypatch.chdir(tmp_path)
    assert len(run.predict(dataset / "valid/red")) == 4


def test_threads_that_predict_at_the_same_time_get_what_each_gets_alone(finished_run):
    run = imageclf.load(finished_run)
    pictures = [np.full((40, 40, 3), 30 * shade, dtype=np.uint8) for shade in range(8)]
    alone = [run.predict(picture).probabilities.tolist() for picture in pictures]
    with ThreadPoolExecutor(4) as threads:
        together = [each.probabilities.tolist() for each in threads.map(run.predict, pictures * 3)]
    assert together == alone * 3
