"""The probabilities of imageclf-predict are those of both exports, on every kind of file."""

import importlib.util
import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import timm
import torch
from predicting import predict_options

from imageclf.commands.export import ExportOptions, export
from imageclf.commands.predict import predict_pictures
from imageclf.data import PictureDataset, Request
from imageclf.data.pictures import decode
from imageclf.model.export import prepare as export_prepare
from imageclf.model.export.prepare import prepare
from imageclf.training.run_config import build_augmentation

CLASSES = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def predicted(finished_run, odd_pictures, tmp_path_factory):
    """Return what imageclf-predict says of the files, `[N, 3]`, in the order of their paths."""
    output = tmp_path_factory.mktemp("predicted") / "odd.csv"
    folder = odd_pictures[0].parent
    given = {"weights": "final", "output": str(output)}
    predict_pictures(predict_options(run=str(finished_run), data=str(folder), **given))
    return pd.read_csv(output).set_index("path").loc[map(str, odd_pictures), CLASSES].to_numpy()


@pytest.fixture
def exported(finished_run, tmp_path):
    def write(form):
        folder = tmp_path / form
        export(ExportOptions(str(finished_run), form, "final", "uint8", str(folder)))
        return folder

    return write


def prepared(folder, paths):
    """Return the pictures as the copy of prepare.py in a folder prepares them, `[N, 3, size, size]`."""
    spec = importlib.util.spec_from_file_location("prepare_of_export", folder / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = json.loads((folder / "config.json").read_text())["prepare"]
    return np.stack([module.prepare(path, **given) for path in paths]).transpose(0, 3, 1, 2)


def test_there_are_files_of_more_than_fifty_kinds(odd_pictures):
    assert len(odd_pictures) > 50


def test_the_same_formats_are_read():
    assert export_prepare.FORMATS == decode.FORMATS


def test_onnxruntime_says_what_predict_says(exported, odd_pictures, predicted):
    folder = exported("onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (found,) = session.run(None, {"pictures": prepared(folder, odd_pictures)})
    np.testing.assert_allclose(found, predicted, atol=1e-4)


def test_stock_timm_says_what_predict_says(exported, odd_pictures, predicted):
    folder = exported("timm")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    expects = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(expects[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        pixels = torch.from_numpy(prepared(folder, odd_pictures))
        found = model((pixels / 255 - mean) / std).softmax(1)
    np.testing.assert_allclose(found, predicted, atol=1e-4)


@pytest.mark.parametrize("resize", ["crop", "squish", "pad", "random_resized_crop"])
@pytest.mark.parametrize("crop_pct", [1.0, 0.875])
def test_the_pixels_are_the_same_to_the_last_bit(resize, crop_pct, odd_pictures, config):
    paths, size = list(map(str, odd_pictures)), 48
    rows = np.arange(len(paths))
    augmentation = build_augmentation(config()["transforms"])
    dataset = PictureDataset(paths, np.zeros_like(rows), augmentation, resize, crop_pct, seed=0)
    images = np.empty((len(paths), size, size, 3), dtype=np.uint8)
    dataset.render(Request(rows, np.zeros_like(rows), epoch=0, size=size), images)
    way = "crop" if resize == "random_resized_crop" else resize
    for path, image in zip(paths, images, strict=True):
        found = prepare(path, size, dataset.side_of(size), way, crop_pct)
        np.testing.assert_array_equal(found, image, err_msg=path)
