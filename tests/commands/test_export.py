"""imageclf-export: what is written computes what the run computes, without this package."""

import json
import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from PIL import ExifTags, Image
from predicting import predict_options
from safetensors.torch import load_file
from torch import nn

from imageclf import InputError
from imageclf.commands.export import ExportOptions, export, load_trained
from imageclf.commands.predict import predict_pictures
from imageclf.launch.start import train
from imageclf.training.directory import prepare
from imageclf.training.trained import read_trained

CLASSES = ["blue", "green", "red"]


def turned(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def exported(run_dir, form, folder, **given):
    defaults = {"weights": "best", "input": "uint8"}
    return export(ExportOptions(run=str(run_dir), format=form, output=str(folder), **(defaults | given)))


@pytest.fixture(scope="module")
def validated_run(composed, tiny, tmp_path_factory):
    """Train the tiny data set, so that there is a best candidate; the head is one of several layers."""
    run_dir = tmp_path_factory.mktemp("validated")
    head = ["model.head._target_=imageclf.model.FastaiHead", "+model.head.hidden=8", "~callbacks.report"]
    prepare(composed(*tiny, *head), run_dir, [])
    train(run_dir)
    return run_dir


@pytest.fixture(scope="module")
def pictures():
    """Return random uint8 pictures `[5, 3, 32, 32]`."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8, generator=generator)


def probabilities_of(run_dir, weights, pictures):
    """Return what the run's own classifiers say, `[B, C]`."""
    models, _ = load_trained(read_trained(run_dir, weights, ()))
    with torch.inference_mode():
        return torch.stack([model(pictures).softmax(1) for model in models]).mean(0).numpy()


def normalised(pictures, folder):
    about = json.loads((folder / "config.json").read_text())["pretrained_cfg"]
    mean, std = (torch.tensor(about[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return (pictures.float() / 255 - mean) / std


def test_stock_timm_computes_what_the_run_computes(finished_run, pictures, tmp_path):
    folder = exported(finished_run, "timm", tmp_path, weights="final")
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.inference_mode():
        found = model(normalised(pictures, folder)).softmax(1).numpy()
    np.testing.assert_allclose(found, probabilities_of(finished_run, "final", pictures), atol=1e-5)


def test_a_head_that_timm_does_not_know_is_written_beside_the_body(validated_run, pictures, tmp_path):
    folder = exported(validated_run, "timm", tmp_path, weights="final")
    (code,) = re.findall(r"^head = (nn\.Sequential\(.*\))$", (folder / "README.md").read_text(), re.MULTILINE)
    head = eval(code, {"nn": nn})
    head.load_state_dict(load_file(folder / "head.safetensors"))
    model = nn.Sequential(timm.create_model(f"local-dir:{folder}", pretrained=True), head).eval()
    with torch.inference_mode():
        found = model(normalised(pictures, folder)).softmax(1).numpy()
    np.testing.assert_allclose(found, probabilities_of(validated_run, "final", pictures), atol=1e-5)


def test_the_config_says_how_pictures_are_prepared(finished_run, tmp_path):
    folder = exported(finished_run, "timm", tmp_path, weights="final")
    model = timm.create_model(f"local-dir:{folder}")
    data = timm.data.resolve_model_data_config(model)
    assert (list(data["input_size"]), data["crop_mode"]) == ([3, 32, 32], "center")
    assert json.loads((folder / "config.json").read_text())["label_names"] == CLASSES


@pytest.mark.parametrize(("kind", "dtype"), [("uint8", "tensor(uint8)"), ("float", "tensor(float)")])
@pytest.mark.sampled(2)
def test_onnxruntime_computes_what_torch_computes_for_batches_of_any_length(
    kind, dtype, finished_run, pictures, tmp_path
):
    folder = exported(finished_run, "onnx", tmp_path, weights="final", input=kind)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    assert session.get_inputs()[0].type == dtype
    expected = probabilities_of(finished_run, "final", pictures)
    for count in (1, 2, 5):
        given = pictures[:count].numpy()
        given = given if kind == "uint8" else given.astype(np.float32) / 255
        (found,) = session.run(None, {"pictures": given})
        np.testing.assert_allclose(found, expected[:count], atol=1e-5)


@pytest.mark.long
def test_an_ensemble_is_one_onnx_file(validated_run, pictures, tmp_path):
    folder = exported(validated_run, "onnx", tmp_path, weights="ensemble")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (found,) = session.run(None, {"pictures": pictures.numpy()})
    np.testing.assert_allclose(found, probabilities_of(validated_run, "ensemble", pictures), atol=1e-5)


def test_an_onnx_file_carries_its_classes(finished_run, tmp_path):
    folder = exported(finished_run, "onnx", tmp_path, weights="final")
    carried = {each.key: json.loads(each.value) for each in onnx.load(folder / "model.onnx").metadata_props}
    assert (carried["classes"], carried["size"]) == (CLASSES, 32)


@pytest.mark.long
def test_the_best_candidate_is_taken_by_default(validated_run, pictures, tmp_path):
    folder = exported(validated_run, "onnx", tmp_path)
    (found,) = onnxruntime.InferenceSession(folder / "model.onnx").run(None, {"pictures": pictures.numpy()})
    np.testing.assert_allclose(found, probabilities_of(validated_run, "best", pictures), atol=1e-5)


@pytest.mark.parametrize("form", ["timm", "onnx"])
@pytest.mark.parametrize("which", ["finished_run", "validated_run"])
@pytest.mark.sampled(4)
def test_the_code_of_the_readme_runs_without_this_package(form, which, request, dataset, tmp_path):
    run_dir = request.getfixturevalue(which)
    folder = exported(run_dir, form, tmp_path / "out", weights="final")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    # Lying on its side and seen through: what stock transforms get wrong.
    picture = tmp_path / "odd.png"
    with Image.open(dataset / "valid" / "red" / "0.png") as plain:
        plain.convert("L").resize((90, 40)).save(tmp_path / "grey.png")
    with Image.open(tmp_path / "grey.png") as grey:
        seen = grey.convert("LA")
        seen.putalpha(Image.linear_gradient("L").resize(grey.size))
        seen.save(picture, exif=turned(6))
    # -I: no PYTHONPATH, hence nothing of this clone unless it is installed.
    command = [
        sys.executable,
        "-I",
        "-W",
        "error",
        "-c",
        f"import sys; sys.modules['imageclf'] = None\n{code}",
    ]
    done = subprocess.run([*command, picture], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    printed = dict(re.findall(r"'(\w+)': ([\d.]+)", done.stdout))
    assert list(printed) == CLASSES
    predicted = own_prediction(run_dir, picture, tmp_path)
    np.testing.assert_allclose([float(share) for share in printed.values()], predicted, atol=1e-4)


def own_prediction(run_dir, picture, folder):
    given = {"weights": "final", "output": str(folder / "own.csv")}
    table = predict_pictures(predict_options(run=str(run_dir), data=str(picture), **given)).table
    return table[CLASSES].to_numpy()[0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weights": "ensemble"}, "weights=ensemble is an ensemble of 2 networks, and format=timm holds one"),
        ({"weights": "last"}, "weights=last: "),
        ({"run": "nowhere"}, "run=nowhere: no finished run is there"),
    ],
)
def test_what_cannot_be_exported_is_refused(given, said, validated_run, tmp_path):
    with pytest.raises(InputError) as refused:
        exported(given.pop("run", validated_run), "timm", tmp_path, **given)
    assert said in str(refused.value)
