"""Pictures of 16 bits, and of five channels: trained, predicted and exported with all that they have."""

import importlib.util
import json
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from predicting import predict_options
from small_runs import phases, train_small

import imageclf
from imageclf import InputError
from imageclf.commands.export import ExportOptions, export
from imageclf.commands.predict import predict_pictures
from imageclf.data.pictures.pixels import RGB
from imageclf.training.parts.pixels import load_pixels, save_pixels
from imageclf.training.parts.table import table_of_run
from imageclf.training.run_config import read_run_config

pytestmark = pytest.mark.long

RNG = np.random.default_rng(0)
CLASSES = ["dark", "light"]
LEARNING = [
    *phases(tune={"cycle_len": 12, "lr": 1e-2, "unfreeze_to": 0, "size": 32, "augment": False}),
    "data.batch_size=8",
    "callbacks.tta.num_augmented=1",
    "+callbacks.report={_target_: imageclf.callbacks.Report}",
]


def low_byte(label):
    """Return a picture of 16 bits whose classes have the same high byte."""
    level = {"dark": 64, "light": 192}[label]
    return (0x4000 + RNG.normal(level, 20, (40, 40)).clip(0, 255)).astype(np.uint16)


def bands(label):
    """Return a picture of five channels whose classes differ in the last alone."""
    picture = RNG.integers(0, 256, (40, 40, 5)).astype(np.uint8)
    picture[..., 4] //= {"dark": 4, "light": 1}[label]
    return picture


def save_png(picture, path):
    Image.fromarray(picture).save(path.with_suffix(".png"))


def save_npy(picture, path):
    np.save(path.with_suffix(".npy"), picture)


KINDS = {"low byte": (low_byte, save_png), "bands": (bands, save_npy)}


@pytest.fixture(scope="module", params=list(KINDS))
def pictures(request, tmp_path_factory):
    draw, save = KINDS[request.param]
    root = tmp_path_factory.mktemp("pictures")
    for label in CLASSES:
        (root / label).mkdir()
        for number in range(20):
            save(draw(label), root / label / str(number))
    return root


@pytest.fixture(scope="module")
def run_dir(pictures, tmp_path_factory):
    return train_small(tmp_path_factory.mktemp("run"), pictures, *LEARNING)


@pytest.fixture(scope="module")
def valid(run_dir):
    return pd.read_csv(run_dir / "predictions" / "valid.csv")


def exported(run_dir, form, folder):
    """Export a run, and return its validation pictures as the copy of prepare.py prepares them."""
    folder = export(ExportOptions(str(run_dir), form, "best", "uint8", str(folder)))
    spec = importlib.util.spec_from_file_location("prepare_of_export", folder / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = json.loads((folder / "config.json").read_text())["prepare"]
    paths = pd.read_csv(run_dir / "predictions" / "valid.csv")["path"]
    return folder, np.stack([module.prepare(path, **given) for path in paths]).transpose(0, 3, 1, 2)


def test_the_classes_are_learnt(run_dir):
    assert json.loads((run_dir / "summary.json").read_text())["model/acc"] == 1


def test_mean_and_spread_are_those_of_the_training_pictures(run_dir):
    split, pixels = pd.read_csv(run_dir / "split.csv"), load_pixels(run_dir)
    paths = split.loc[split["split"] == "train", "path"]
    arrays = [np.load(path) if path.endswith(".npy") else np.asarray(Image.open(path)) for path in paths]
    values = np.stack(arrays).reshape(-1, pixels.channels) / pixels.top
    assert pixels.mean == pytest.approx(values.mean(axis=0), rel=1e-6)
    assert pixels.std == pytest.approx(values.std(axis=0), rel=1e-6)


def test_a_run_that_goes_on_does_not_measure_again(run_dir, tmp_path):
    for name in ("config.yaml", "split.csv", "pixels.json"):
        shutil.copy(run_dir / name, tmp_path)
    written = replace(load_pixels(tmp_path), mean=(0.5,) * load_pixels(tmp_path).channels)
    save_pixels(written, tmp_path)
    assert table_of_run(tmp_path, read_run_config(tmp_path)).pixels == written


def test_the_report_shows_them_and_where_the_network_looked(run_dir):
    page = (run_dir / "report.html").read_text()
    assert page.count("data:image/jpeg") > 8


def test_predict_says_what_the_validation_said(run_dir, valid, tmp_path):
    options = {"run": str(run_dir), "data": valid["path"].tolist(), "output": str(tmp_path / "new.csv")}
    found = predict_pictures(predict_options(**options)).table
    np.testing.assert_allclose(found[CLASSES], valid[CLASSES], atol=1e-5)


def test_arrays_in_memory_are_predicted_as_their_files(run_dir, valid):
    arrays = [
        np.load(path) if path.endswith(".npy") else np.asarray(Image.open(path)) for path in valid["path"]
    ]
    found = imageclf.load(run_dir).predict(arrays)
    np.testing.assert_allclose(found.probabilities, valid[CLASSES], atol=1e-5)


def test_onnxruntime_says_what_the_validation_said(run_dir, valid, tmp_path):
    folder, pixels = exported(run_dir, "onnx", tmp_path)
    (found,) = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"pictures": pixels})
    np.testing.assert_allclose(found, valid[CLASSES], atol=1e-3)


def test_stock_timm_says_what_the_validation_said(run_dir, valid, tmp_path):
    folder, pixels = exported(run_dir, "timm", tmp_path)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    expects = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(expects[name]).view(-1, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        values = torch.from_numpy(pixels).float() / load_pixels(run_dir).top
        found = model((values - mean) / std).softmax(1)
    np.testing.assert_allclose(found, valid[CLASSES], atol=1e-3)


def test_a_page_for_browsers_is_refused(run_dir, tmp_path):
    with pytest.raises(InputError, match="format=web: a browser decodes pictures to RGB or grey of 8 bits"):
        export(ExportOptions(str(run_dir), "web", "best", "uint8", str(tmp_path)))


def test_the_low_byte_is_not_learnt_from_8_bits(tmp_path):
    for label in CLASSES:
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(20):
            save_png(low_byte(label), tmp_path / "pictures" / label / str(number))
    run_dir = train_small(tmp_path / "run", tmp_path / "pictures", *LEARNING[:-1], "data.bits=8")
    assert json.loads((run_dir / "summary.json").read_text())["val/acc"] == 0.5
    assert load_pixels(run_dir) == RGB
