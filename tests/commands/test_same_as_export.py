"""The probabilities of imageclf-predict are those of all exports, on every kind of file."""

import base64
import hashlib
import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import timm
import torch
from predicting import predict_options
from web_page import shown

import imageclf
from imageclf import InputError
from imageclf.commands.export import ExportOptions, export
from imageclf.commands.predict import predict_pictures
from imageclf.commands.web_export import CDN, VERSION, read_runtime, write_page
from imageclf.data import PictureDataset, Request
from imageclf.data.pictures import decode
from imageclf.launch.start import train
from imageclf.model.export import prepare as export_prepare
from imageclf.model.export.prepare import prepare
from imageclf.schedule.size import Oblong
from imageclf.training.directory import prepare as prepare_run
from imageclf.training.run_config import build_augmentation

CLASSES = ["blue", "green", "red"]
LARGER = {"size": [96, 128], "side": [129, 161], "resize": "crop", "crop_pct": 0.875}


@pytest.fixture(scope="module")
def predicted(finished_run, odd_pictures, tmp_path_factory):
    """Return what imageclf-predict says of the files, `[N, 3]`, in the order of their paths."""
    output = tmp_path_factory.mktemp("predicted") / "odd.csv"
    folder = odd_pictures[0].parent
    given = {"weights": "final", "output": str(output)}
    predict_pictures(predict_options(run=str(finished_run), data=str(folder), **given))
    return pd.read_csv(output).set_index("path").loc[map(str, odd_pictures), CLASSES].to_numpy()


@pytest.fixture(scope="module")
def web(finished_run, tmp_path_factory):
    """Return a folder of format=web: what format=onnx writes, and a page."""
    folder = tmp_path_factory.mktemp("web")
    export(ExportOptions(str(finished_run), "web", "final", "uint8", str(folder)))
    return folder


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


def test_onnxruntime_says_what_predict_says(web, odd_pictures, predicted):
    session = onnxruntime.InferenceSession(web / "model.onnx")
    (found,) = session.run(None, {"pictures": prepared(web, odd_pictures)})
    np.testing.assert_allclose(found, predicted, atol=1e-4)


def test_stock_timm_says_what_predict_says(finished_run, tmp_path, odd_pictures, predicted):
    folder = export(ExportOptions(str(finished_run), "timm", "final", "uint8", str(tmp_path / "timm")))
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    expects = timm.data.resolve_model_data_config(model)
    mean, std = (torch.tensor(expects[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        pixels = torch.from_numpy(prepared(folder, odd_pictures))
        found = model((pixels / 255 - mean) / std).softmax(1)
    np.testing.assert_allclose(found, predicted, atol=1e-4)


def test_without_a_package_the_page_may_load_its_runtime_from_the_cdn_and_nothing_else(web):
    page = (web / "index.html").read_text()
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
    assert re.findall(r"https?://[^\s;]+", policy) == [CDN, CDN]
    assert set(re.findall(r'"(https?://[^"]+)"', page)) == {f"{CDN}ort.wasm.bundle.min.mjs"}
    assert f"onnxruntime-web {VERSION} from cdn.jsdelivr.net" in (web / "README.md").read_text()


def test_the_decoder_of_the_page_is_the_one_of_its_package_and_carries_its_licences(web):
    notice, _, script = (web / "jpeg.js").read_text(encoding="utf-8").partition("*/\n")
    assert "Redistributions in binary form must reproduce the above copyright notice" in notice
    assert "based in part on the work of the Independent JPEG Group" in notice
    carried = base64.b64decode(json.loads(script.removeprefix("self.JPEG = ").removesuffix(";\n")))
    about = (Path(imageclf.__file__).parent / "report/vendored/README.md").read_text(encoding="utf-8")
    assert hashlib.sha256(carried).hexdigest() in about


def test_another_file_than_the_runtimes_package_is_refused(tmp_path):
    (tmp_path / "other.tgz").write_bytes(b"no archive")
    for name in ("other.tgz", "missing.tgz"):
        with pytest.raises(InputError, match=rf"(?s)runtime=.*{name} .*npm pack onnxruntime-web@{VERSION}"):
            read_runtime(tmp_path / name)


@pytest.fixture(scope="module")
def on_page(web, odd_pictures, runtime_package, tmp_path_factory):
    """Return what a page with its own runtime does with each file."""
    folder = shutil.copytree(web, tmp_path_factory.mktemp("vendored"), dirs_exist_ok=True)
    about = json.loads((web / "config.json").read_text())
    write_page(folder, "run", "network", about, str(runtime_package))
    whole = next(path for path in odd_pictures if path.name == "restarts.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    return shown(folder / "index.html", [*odd_pictures, folder / "cut.jpg"], LARGER)


@pytest.mark.long
def test_the_page_shows_more_than_fifty_files(on_page):
    assert len(on_page.pixels) > 50


@pytest.mark.long
def test_the_pixels_of_the_page_are_those_of_predict_but_for_rounding(on_page, odd_pictures):
    for path in (each for each in odd_pictures if each.name in on_page.pixels):
        expected = prepare(path, **LARGER).transpose(2, 0, 1)
        found = np.frombuffer(on_page.pixels[path.name], dtype=np.uint8).reshape(expected.shape)
        apart = abs(found.astype(int) - expected)
        assert apart.max() <= 1 and (apart > 0).mean() < 1e-3, path.name


@pytest.mark.long
def test_the_page_says_what_predict_says(on_page, odd_pictures, predicted):
    apart = {
        path.name: abs(on_page.found[path.name] - row).max()
        for path, row in zip(odd_pictures, predicted, strict=True)
        if path.name in on_page.pixels
    }
    assert {name: each for name, each in apart.items() if each > 1e-4} == {}


@pytest.mark.long
def test_the_page_refuses_a_jpeg_file_that_is_cut(on_page):
    assert on_page.found["cut.jpg"] == "The JPEG file is damaged."


@pytest.mark.long
def test_the_page_says_which_files_no_browser_shows(on_page, odd_pictures):
    refused = {
        path.name: on_page.found[path.name] for path in odd_pictures if path.name not in on_page.pixels
    }
    assert {name.rpartition(".")[2] for name in refused} == {"tif", "ppm", "pgm"}
    assert set(refused.values()) == {"This browser cannot show the file."}


@pytest.mark.long
def test_a_dropped_photo_gets_bars_from_the_most_probable_class_on(on_page, odd_pictures, predicted):
    rows = re.findall(r'<td>(\w+)</td><td class="n">([\d.]+) %</td>', on_page.html)
    expected = sorted(zip(predicted[0], CLASSES, strict=True), reverse=True)
    assert rows == [(name, f"{100 * value:.1f}") for value, name in expected]
    assert f'alt="{odd_pictures[0].name}"' in on_page.html


@pytest.mark.long
def test_the_page_asks_no_network_for_anything(on_page):
    assert "connect-src 'none'" in on_page.html
    assert "Ready." in on_page.html
    assert on_page.log == ""


@pytest.mark.long
def test_the_page_of_a_grey_network_says_what_predict_says(
    composed, tiny, odd_pictures, runtime_package, tmp_path
):
    run_dir, folder = tmp_path / "run", tmp_path / "web"
    run_dir.mkdir()
    prepare_run(composed(*tiny, "data.channels=1"), run_dir, [])
    train(run_dir)
    export(ExportOptions(str(run_dir), "web", "final", "uint8", str(folder), str(runtime_package)))
    page = shown(folder / "index.html", odd_pictures, LARGER)
    given = {"weights": "final", "output": str(tmp_path / "odd.csv"), "data": str(odd_pictures[0].parent)}
    predict_pictures(predict_options(run=str(run_dir), **given))
    predicted = pd.read_csv(tmp_path / "odd.csv").set_index("path")[CLASSES]
    assert len(page.pixels) > 50
    for path in (each for each in odd_pictures if each.name in page.pixels):
        expected = prepare(path, **LARGER, channels=1).transpose(2, 0, 1)
        found = np.frombuffer(page.pixels[path.name], dtype=np.uint8).reshape(expected.shape)
        apart = abs(found.astype(int) - expected)
        assert apart.max() <= 1 and (apart > 0).mean() < 1e-3, path.name
        np.testing.assert_allclose(page.found[path.name], predicted.loc[str(path)], atol=1e-4)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("resize", ["crop", "squish", "pad", "random_resized_crop"])
@pytest.mark.parametrize(("crop_pct", "size"), [(1.0, Oblong(48, 80)), (0.875, 48)])
def test_the_pixels_are_the_same_to_the_last_bit(resize, crop_pct, size, odd_pictures, config):
    paths = list(map(str, odd_pictures))
    rows = np.arange(len(paths))
    augmentation = build_augmentation(config()["transforms"])
    dataset = PictureDataset(paths, np.zeros_like(rows), augmentation, resize, crop_pct, seed=0)
    request = Request(rows, np.zeros_like(rows), epoch=0, size=size)
    images = np.empty(request.shape(3), dtype=np.uint8)
    dataset.render(request, images)
    way = "crop" if resize == "random_resized_crop" else resize
    for path, image in zip(paths, images, strict=True):
        found = prepare(path, size, dataset.side_of(size), way, crop_pct)
        np.testing.assert_array_equal(found, image, err_msg=path)
