"""What a finished run says last."""

import shlex
from pathlib import Path

from imageclf.training.closing import RESULTS, closing_words

SUMMARY = {
    "model": "soup",
    "model/acc": 58 / 60,
    "model/acc_low": 0.8864,
    "model/acc_high": 0.9908,
    "val/acc": 0.95,
    "val/acc_tta": 0.9667,
    "num_train": 1204,
    "num_valid": 60,
    "num_test": 0,
    "epochs": 15,
    "seconds": 118.0,
}


def test_the_result_is_a_table_in_words_and_the_commands_that_come_next():
    assert closing_words(Path("/runs/1"), SUMMARY, RESULTS) == [
        "the run is done",
        "  model        soup",
        "  accuracy     96.7 % of 60 validation pictures (95 % interval: 88.6 % to 99.1 %)",
        "  with TTA     96.7 %, measured for the final weights",
        "  trained on   1,204 pictures, 15 epochs",
        "  time         2 min",
        "  report       /runs/1/report.html",
        "  predictions  /runs/1/predictions",
        "  submission   /runs/1/submission.csv",
        "next",
        "  open the report  python -m webbrowser file:///runs/1/report.html",
        "  predict          imageclf-predict run=/runs/1 data=FOLDER",
        "  export           imageclf-export run=/runs/1 format=onnx",
    ]


def test_the_commands_trust_the_code_of_the_users_own_network():
    words = closing_words(Path("/runs/1"), SUMMARY, RESULTS, ["petals.head"])
    assert words[-2].endswith("imageclf-predict run=/runs/1 'trust=[petals.head]' data=FOLDER")
    assert words[-1].endswith("imageclf-export run=/runs/1 'trust=[petals.head]' format=onnx")


def test_a_model_that_was_chosen_on_these_pictures_has_what_is_to_be_expected_of_it():
    crossfit = {"": 0.9483, "_low": 0.8601, "_high": 0.9823}
    chosen = {f"val/acc_best_crossfit{end}": value for end, value in crossfit.items()}
    expected = (
        "  to expect    94.8 % (95 % interval: 86.0 % to 98.2 %), "
        "measured on pictures that did not choose the model"
    )
    assert closing_words(Path("/runs/1"), SUMMARY | chosen | {"model/chosen": True}, RESULTS)[3] == expected
    assert expected not in closing_words(Path("/runs/1"), SUMMARY | chosen, RESULTS)


def test_without_a_report_nothing_leads_to_one():
    lines = closing_words(Path("/runs/1"), SUMMARY, ["predictions"])
    assert not [line for line in lines if "report" in line]


def test_a_run_without_validation_says_so():
    summary = {"num_train": 100, "num_valid": 0, "epochs": 2, "seconds": None}
    words = closing_words(Path("/runs/1"), summary, RESULTS)
    assert "  accuracy     unknown, because no picture was held out" in words


def test_the_accuracy_of_a_run_of_an_earlier_version_is_that_of_its_last_epoch():
    summary = {"val/acc": 0.9, "num_valid": 60, "num_train": 100, "epochs": 2, "test/acc": None}
    words = closing_words(Path("/runs/1"), summary, RESULTS)
    assert "  accuracy     90.0 % of 60 validation pictures" in words


def test_each_command_is_what_a_shell_takes_whatever_the_directory_is_called():
    words = closing_words(Path("/my runs/a=b"), SUMMARY, RESULTS)
    predict = shlex.split(words[-2])
    assert predict == ["predict", "imageclf-predict", "run='/my runs/a=b'", "data=FOLDER"]
    assert words[-3].endswith("file:///my%20runs/a%3Db/report.html")
