"""imageclf-predict: what it takes, what it skips, what it writes, and what it does not overwrite."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from predicting import predict_options

from imageclf import InputError
from imageclf.commands.predict import predict_pictures

CLASSES = ["blue", "green", "red"]


@pytest.fixture
def run_dir(finished_run, tmp_path):
    """Return a copy of a finished run to write into."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def new(dataset, tmp_path):
    """Return a folder of four pictures."""
    return shutil.copytree(dataset / "valid" / "red", tmp_path / "new")


@pytest.fixture
def predict(run_dir, new):
    def call(**given):
        return predict_pictures(predict_options(**({"run": str(run_dir), "data": str(new)} | given)))

    return call


@pytest.fixture
def refusal(predict):
    def call(**given):
        with pytest.raises(InputError) as refused:
            predict(**given)
        return str(refused.value)

    return call


@pytest.mark.fault(
    "Pictures",
    "One of the pictures to predict cannot be read",
    "It is listed in `...-skipped.csv` with the reason; no row is shifted",
)
def test_a_file_that_cannot_be_read_is_skipped_and_listed_with_its_reason(predict, new, caplog):
    (new / "broken.jpg").write_text("hello")
    predicted = predict()
    assert len(predicted.table) == 4
    listed = pd.read_csv(predicted.files[0]).to_dict("records")
    assert listed == [{"id": "broken", "path": f"{new}/broken.jpg", "reason": "not a picture"}]
    assert "1 picture cannot be read: " in caplog.text


def test_on_error_raise_names_its_own_key(refusal, new):
    (new / "broken.jpg").write_text("hello")
    assert refusal(on_error="raise").endswith("repair or remove it, or give on_error=skip")


def test_without_any_readable_picture_there_is_nothing_to_predict(refusal, tmp_path):
    (tmp_path / "x.jpg").write_text("hello")
    assert refusal(data=str(tmp_path / "x.jpg")).endswith("not a picture; there is nothing to predict")


def test_an_old_list_of_skipped_files_does_not_stay(predict, new):
    (new / "broken.jpg").write_text("hello")
    predict()
    (new / "broken.jpg").unlink()
    assert predict(overwrite=True).files[0].read_text() == "id,path,reason\n"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "new.csv"),
        ({"tta": "fastai1"}, "new-fastai1.csv"),
        ({"num_augmented": 1}, "new-fastai07.csv"),
        ({"num_augmented": 0}, "new.csv"),
        ({"weights": "final", "tta": "five_crops"}, "new-final-five_crops.csv"),
    ],
)
def test_the_name_of_the_output_says_how_it_was_made(given, name, predict, run_dir):
    assert predict(**given).files == [run_dir / "predictions" / name]


def test_the_same_again_is_no_conflict(predict):
    (first,), (second,) = predict().files, predict().files
    assert first == second


@pytest.mark.fault(
    "Terminals, paths and networks",
    "`output=` is a file with other predictions",
    "It is not replaced unless `overwrite=true`",
)
def test_other_pictures_do_not_replace_a_file_unless_asked(predict, refusal, new, run_dir):
    (path,) = predict().files
    before = path.read_text()
    (new / "0.png").unlink()
    assert refusal() == (
        f"{path} is there already, with other pictures or classes: give output=OTHER.csv, or overwrite=true"
    )
    assert path.read_text() == before
    predict(overwrite=True)
    assert len(pd.read_csv(path)) == 3


def test_other_probabilities_do_not_replace_a_file_either(predict, refusal, tmp_path):
    output = str(tmp_path / "x.csv")
    predict(output=output)
    assert "with another content" in refusal(output=output, tta="fastai1")


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("/dev/full", "is a device or a pipe, not a file"),
        ("/proc/none/x.csv", "cannot be written"),
        ("{new}", "is a folder: give the path of a CSV"),
        ("{new}/0.png/x.csv", "cannot be written"),
    ],
)
@pytest.mark.fault(
    "Terminals, paths and networks",
    "`output=` cannot be written",
    "It is refused before anything is predicted",
)
def test_an_output_that_cannot_be_written_is_refused_first(output, said, refusal, new):
    assert said in refusal(output=output.format(new=new), data="nowhere")


def test_several_runs_are_averaged(predict, run_dir, finished_run, tmp_path):
    first, last = (predict(weights=name).table[CLASSES].to_numpy() for name in ("final", "best"))
    other = shutil.copytree(finished_run, tmp_path / "other")
    # The other run reports another candidate.
    listed = other / "snapshots" / "candidates.json"
    content = json.loads(listed.read_text()) if listed.exists() else None
    if content is not None:
        listed.write_text(json.dumps(content | {"reported": "final"}))
    predicted = predict(run=[str(run_dir), str(other)])
    assert predicted.files == [run_dir / "predictions" / "new-mean-of-2.csv"]
    other_best = first if content is not None else last
    np.testing.assert_allclose(predicted.table[CLASSES].to_numpy(), (last + other_best) / 2, atol=1e-6)


@pytest.mark.fault(
    "Losses and weights",
    "Runs of other classes are to be averaged",
    "It is refused, with a class that differs",
)
def test_runs_of_other_classes_are_not_averaged(refusal, run_dir, finished_run, tmp_path):
    import torch

    other = shutil.copytree(finished_run, tmp_path / "other")
    for file in (other / "snapshots").glob("*.ckpt"):
        content = torch.load(file, weights_only=True)
        torch.save(content | {"classes": ["blue", "green", "violet"]}, file)
    said = refusal(run=[str(run_dir), str(other)])
    assert said.startswith(f"run={other}: its classes differ from those of {run_dir}, such as 'red'")


def test_a_sample_is_filled_in_exactly(predict, tmp_path):
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("name,red,blue,green\n3,0,0,0\n0,0,0,0\n2,0,0,0\n1,0,0,0\n")
    submission, output = predict(sample=str(sample)).files
    filled, predicted = pd.read_csv(submission), pd.read_csv(output).set_index("id")
    assert list(filled.columns) == ["name", "red", "blue", "green"]
    assert filled["name"].tolist() == [3, 0, 2, 1]
    np.testing.assert_array_equal(filled["red"], predicted.loc[[3, 0, 2, 1], "red"])


@pytest.mark.fault(
    "Folders and tables",
    "The sample submission lists other ids",
    "It is refused before anything is predicted",
)
def test_a_sample_of_other_ids_is_refused_before_the_work(refusal, tmp_path, run_dir):
    (tmp_path / "sample.csv").write_text("id,label\n0,x\n7,x\n")
    assert "1 of its 2 ids was not predicted, such as '7'" in refusal(sample=str(tmp_path / "sample.csv"))
    assert not (run_dir / "predictions" / "new.csv").exists()


@pytest.mark.long
def test_the_command_takes_paths_from_a_pipe_and_ends_with_the_path_of_the_output(run_dir, new):
    pictures = "\n".join(str(path) for path in sorted(new.iterdir()))
    done = subprocess.run(
        [sys.executable, "-m", "imageclf.predict", f"run={run_dir}", "data=-", "num_workers=0"],
        input=pictures, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == str(run_dir / "predictions" / "stdin.csv")
    heading = next(line.split() for line in lines if "mean confidence" in line)
    assert heading == ["prediction", "pictures", "mean", "confidence", "below", "0.5"]


@pytest.mark.parametrize("name", ["a=b", "a, b", "a [b] {c}", "it's", "a:b"])
def test_a_folder_of_any_name_is_taken_as_it_is(name, command, run_dir, new):
    folder = new.rename(new.with_name(name))
    outcome = command("predict", f"run={run_dir}", f"data={folder}", "num_workers=0")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == str(run_dir / "predictions" / f"{name}.csv")
