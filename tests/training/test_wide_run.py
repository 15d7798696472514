"""A real run on pictures that are wide, from what is typed to what is predicted with its exports."""

import importlib.util
import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import timm
import torch
from predicting import predict_options
from presets import write_noise
from small_runs import phases, train_small

import imageclf
from imageclf import InputError
from imageclf.commands.batch_size import demanding
from imageclf.commands.export import ExportOptions, export
from imageclf.commands.predict import predict_pictures
from imageclf.configs import load_config
from imageclf.report.run_page import write_report
from imageclf.schedule.size import Oblong
from imageclf.training.run_config import RunConfig, parse, read_run_config
from imageclf.training.trained import read_trained

pytestmark = pytest.mark.long

CLASSES = ["noise", "plain"]
WIDE = Oblong(32, 64)
LESSON = phases(
    head={"lr": "auto", "unfreeze_to": "head", "augment": False, "precompute": True},
    finetune={"n_cycles": 2, "lr": 1e-3, "unfreeze_to": 0, "size": "[48, 40x80]"},
    bigger={"lr": 1e-3, "unfreeze_to": 0, "size": "48x96"},
)
VIEWS = ["callbacks.tta.views=five_crops", "data.resize=crop", "data.device_store=on"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Return a folder of two classes of pictures, most of them wide."""
    folder = tmp_path_factory.mktemp("wide")
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir()
        write_noise(folder / name, [(50 + number, 100 + step) for step in range(15)])
    return folder


@pytest.fixture(scope="module")
def run_dir(pictures, tmp_path_factory):
    """Train by a square, a wide and a wider size, with cached features, a search, crops and the report."""
    run_dir = tmp_path_factory.mktemp("run")
    return train_small(run_dir, pictures, "data.size=[32, 64]", *VIEWS, *LESSON)


@pytest.fixture(scope="module")
def predicted(run_dir, pictures, tmp_path_factory):
    """Return what imageclf-predict says of the pictures."""
    output = tmp_path_factory.mktemp("predicted") / "wide.csv"
    predict_pictures(predict_options(run=str(run_dir), data=str(pictures), output=str(output)))
    return pd.read_csv(output)


def test_the_config_keeps_what_was_typed_and_is_read_as_a_size(run_dir):
    assert load_config(run_dir / "config.yaml")["data"]["size"] == [32, 64]
    config = read_run_config(run_dir)
    assert config.data.loading.size == WIDE
    assert config.schedule.sizes(WIDE) == {48, WIDE, Oblong(40, 80), Oblong(48, 96)}


def test_every_table_has_the_size_of_each_epoch_and_step(run_dir):
    for name in ("metrics", "plan"):
        sizes = pd.read_csv(run_dir / f"{name}.csv")["size"].drop_duplicates().tolist()
        assert sizes == ["32x64", "48", "40x80", "48x96"]
    assert json.loads((run_dir / "summary.json").read_text())["size"] == "48x96"


def test_the_views_of_test_time_augmentation_are_scored(run_dir):
    assert "val/acc_tta" in json.loads((run_dir / "summary.json").read_text())


def test_the_report_says_the_sizes_of_each_phase(run_dir):
    page = write_report(run_dir).read_text(encoding="utf-8")
    assert "48 to 40x80" in page and '<td class="n">48x96</td>' in page


def test_a_run_of_wide_pictures_is_read_as_a_strangers(run_dir):
    trained = read_trained(run_dir, "final", ())
    assert (trained.size, len(trained.sizes)) == (Oblong(48, 96), 4)


def test_python_predicts_what_the_command_predicts(run_dir, predicted):
    run, path = imageclf.load(run_dir), predicted["path"][0]
    picture = run.transform(path)
    assert picture.shape == (3, 48, 96)
    with torch.inference_mode():
        found = run.model(picture[None]).softmax(1)[0]
    np.testing.assert_allclose(found, predicted.loc[0, CLASSES].astype(float), atol=1e-5)


def prepared(folder, paths):
    """Return the pictures as the prepare.py of an export prepares them, `[N, 3, H, W]`."""
    spec = importlib.util.spec_from_file_location("prepare_of_wide", folder / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = json.loads((folder / "config.json").read_text())["prepare"]
    return np.stack([module.prepare(path, **given) for path in paths]).transpose(0, 3, 1, 2)


def exported(run_dir, form, folder):
    return export(ExportOptions(str(run_dir), form, "best", "uint8", str(folder)))


def test_onnx_says_what_predict_says(run_dir, predicted, tmp_path):
    folder = exported(run_dir, "onnx", tmp_path)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert session.get_inputs()[0].shape[1:] == [3, 48, 96]
    assert "`[B, 3, 48, 96]`" in (folder / "README.md").read_text()
    (found,) = session.run(None, {"pictures": prepared(folder, predicted["path"])})
    np.testing.assert_allclose(found, predicted[CLASSES], atol=1e-4)


def test_stock_timm_says_what_predict_says(run_dir, predicted, tmp_path):
    folder = exported(run_dir, "timm", tmp_path)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    expects = timm.data.resolve_model_data_config(model)
    assert expects["input_size"] == [3, 48, 96]
    mean, std = (torch.tensor(expects[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        found = model((torch.from_numpy(prepared(folder, predicted["path"])) / 255 - mean) / std).softmax(1)
    np.testing.assert_allclose(found, predicted[CLASSES], atol=1e-4)


def test_the_batch_size_is_searched_at_every_size(run_dir):
    names = demanding(read_run_config(run_dir).schedule, WIDE)
    assert list(names) == ["48x96 px, from 0", "40x80 px, from 0", "48 px, from 0"]


def test_a_square_that_is_typed_as_a_pair_is_the_square(config):
    found = parse(config("data.size=[48,48]"), RunConfig).data.loading.size
    assert (found, type(found)) == (48, int)


def test_the_lesson_enlarges_both_sides(composed):
    sizes = composed("data=stamps", "data.size=[128,256]").schedule.phases.bigger.size
    assert sizes == "160x320"


@pytest.mark.parametrize("typed", ["[0,5]", "[1,2,3]"])
def test_a_wrong_size_is_refused_by_its_key(config, typed):
    with pytest.raises(InputError, match=r"^data\.size=.*: give a (whole )?number from 1 to 8192"):
        parse(config(f"data.size={typed}"), RunConfig)
