import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from imageclf import InputError
from imageclf.report.model_pictures import TrainingViews
from imageclf.report.run_page import write_report


class Page(HTMLParser):
    """Collects what a browser would show and load."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.addresses = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        if "style" not in self.tags[-1:]:
            self.words.append(data)

    @property
    def pictures(self):
        return sum(address.startswith("data:image/jpeg") for address in self.addresses)

    @property
    def plots(self):
        return self.tags.count("svg")


@pytest.fixture(scope="module")
def page(untouched_run):
    return shown(untouched_run)


def shown(run_dir):
    return Page(write_report(run_dir))


def without_validation(run_dir):
    """Leave of a run what training without validation pictures would have written."""
    (run_dir / "predictions" / "valid.csv").unlink()
    metrics = pd.read_csv(run_dir / "metrics.csv")
    metrics.loc[:, ~metrics.columns.str.startswith("val/")].to_csv(run_dir / "metrics.csv", index=False)
    summary = json.loads((run_dir / "summary.json").read_text())
    kept = {key: value for key, value in summary.items() if not key.startswith(("val/", "best", "num_valid"))}
    (run_dir / "summary.json").write_text(json.dumps(kept))


def edit_predictions(run_dir, **columns):
    path = run_dir / "predictions" / "valid.csv"
    pd.read_csv(path, dtype=str, keep_default_na=False).assign(**columns).to_csv(path, index=False)


def test_the_report_is_written_into_the_run_directory(run_dir):
    assert write_report(run_dir) == run_dir / "report.html"


def test_the_report_loads_nothing_from_elsewhere(page):
    assert page.addresses
    outward = [each for each in page.addresses if not each.startswith(("data:", "#"))]
    assert outward == []
    assert "script" not in page.tags


def test_the_title_names_the_run(page):
    assert "stamps / 20250301-101500-1a2b" in page.text


MACHINE = {
    "accelerator": "cuda",
    "device_name": "NVIDIA H100",
    "precision": "bf16-mixed",
    "deterministic": False,
    "num_workers": 8,
}


def test_the_report_says_what_the_run_trained_on(run_dir):
    summary = json.loads((run_dir / "summary.json").read_text())
    (run_dir / "summary.json").write_text(json.dumps(summary | MACHINE))
    line = "Trained on cuda (NVIDIA H100), bf16-mixed, not deterministic, 8 data workers."
    assert line in shown(run_dir).text


def test_a_run_that_does_not_say_what_it_trained_on_has_no_such_line(page):
    assert "Trained on" not in page.text


def test_the_headline_numbers_are_shown(page):
    text = page.text
    assert "Accuracy 93.7 % 239 of 255" in text
    assert "Best candidate 94.9 % selected: ensemble" in text
    assert "Duration 3 min 07 s" in text


MODEL = {
    "model": "ensemble",
    "model/chosen": True,
    "model/acc": 242 / 255,
    "model/loss": 0.1875,
    "model/acc_low": 0.9149,
    "model/acc_high": 0.9701,
    "model/pictures": 255,
}
MEMBERS = ["head-0", "finetune-0"]
CANDIDATES = {
    "final": {"files": ["final.ckpt"], "members": ["final"], "accuracy": 239 / 255, "loss": 0.2105},
    "ensemble": {"files": ["a", "b"], "members": MEMBERS, "accuracy": 242 / 255, "loss": 0.1875},
}


@pytest.fixture
def reporting(run_dir):
    """Return a run that names the model that it reports, and was compared with another."""
    summary = json.loads((run_dir / "summary.json").read_text())
    (run_dir / "summary.json").write_text(json.dumps(summary | MODEL))
    (run_dir / "snapshots").mkdir()
    listed = {"best": "ensemble", "reported": "ensemble", "candidates": CANDIDATES}
    (run_dir / "snapshots" / "candidates.json").write_text(json.dumps(listed))
    return run_dir


def test_the_top_speaks_of_the_reported_model_alone(reporting):
    top = shown(reporting).text.partition("All candidates")[0]
    assert "242 of 255 validation pictures right" in top
    assert (
        "An accuracy of 94.9 % , with a 95 % interval from 91.5 % to 97.0 %, and a log loss of 0.1875." in top
    )
    assert "the ensemble of head-0 and finetune-0 ( weights=ensemble )" in top
    assert "It was chosen for doing best on these very pictures, so expect a little less on new ones." in top
    assert "93.7 %" not in top


def test_the_top_says_how_good_the_best_is_on_pictures_that_did_not_choose_it(reporting):
    summary = json.loads((reporting / "summary.json").read_text())
    crossfit = {"": 0.9325, "_low": 0.8949, "_high": 0.9573}
    measured = {f"val/acc_best_crossfit{end}": value for end, value in crossfit.items()}
    (reporting / "summary.json").write_text(json.dumps(summary | measured))
    assert (
        "It was chosen for its 94.9 % on these very pictures; chosen by one half of them and scored by the "
        "other, the best candidate gets 93.2 % right (95 % interval 89.5 % to 95.7 %), which is what to "
        "expect on new ones."
    ) in shown(reporting).text


def test_the_candidates_stand_below_best_first_with_the_reported_one_marked(reporting):
    table = shown(reporting).text.partition("All candidates")[2]
    best = "ensemble (reported) the ensemble of head-0 and finetune-0 242 94.9 % 0.1875"
    assert f"{best} final the final weights 239 93.7 % 0.2105" in table


def test_labelled_test_pictures_are_a_score_of_their_own(reporting):
    summary = json.loads((reporting / "summary.json").read_text())
    (reporting / "summary.json").write_text(json.dumps(summary | {"test/acc": 9 / 15, "num_test": 15}))
    words = "On new pictures : 9 of 15 test pictures right (60.0 %; 95 % interval 35.7 % to 80.2 %)."
    assert words in shown(reporting).text


def test_where_there_are_training_pictures_but_no_heatmaps_the_reason_is_told(reporting):
    views = TrainingViews(np.zeros((1, 8, 8, 3), np.uint8), ["cat"], is_augmented=True)
    text = Page(write_report(reporting, views=views)).text
    assert "Grad-CAM) cannot be shown: this network offers no map of its last features." in text


def list_candidates(run_dir, candidates):
    """Write the candidates of a run."""
    listed = {"best": "ensemble", "reported": "ensemble", "candidates": candidates}
    (run_dir / "snapshots" / "candidates.json").write_text(json.dumps(listed))


def test_candidates_with_the_same_predictions_share_a_row(reporting):
    # One snapshot more that predicts as the final weights do.
    list_candidates(reporting, CANDIDATES | {"finetune-0": CANDIDATES["final"] | {"members": ["finetune-0"]}})
    table = shown(reporting).text.partition("All candidates")[2]
    assert "final the final weights the same as finetune-0 239 93.7 % 0.2105" in table


def test_where_all_candidates_predict_alike_none_was_chosen(reporting):
    list_candidates(reporting, dict.fromkeys(CANDIDATES, CANDIDATES["ensemble"]))
    text = shown(reporting).text
    assert "All candidates" not in text
    assert "It was chosen" not in text


def test_test_time_augmentation_stands_apart_from_the_candidates_that_the_model_was_chosen_among(reporting):
    words = "With test-time augmentation the final weights get 242 of 255 pictures (94.9 %) right"
    assert f"{words}, with a log loss of 0.1953." in shown(reporting).text
    assert "tta" not in shown(reporting).text.partition("All candidates")[2].partition("With test-time")[0]


@pytest.mark.parametrize("candidates", ["[]", '{"final": {}}', '{"final": 1}', '{"final": {"members": 1}}'])
def test_damaged_candidates_are_named(reporting, candidates):
    (reporting / "snapshots" / "candidates.json").write_text(f'{{"candidates": {candidates}}}')
    with pytest.raises(InputError, match=r"candidates\.json is damaged"):
        write_report(reporting)


def test_a_number_that_the_summary_lacks_has_no_card(page):
    assert "test/acc" not in page.text


def test_each_phase_has_a_row(page):
    assert "finetune 3 64 0.5192 89.5 % 13 s bigger 3 96" in page.text


def test_rates_loss_accuracy_both_searches_and_calibration_are_plotted(page):
    # The rates twice: for a desk and for a telephone.
    assert page.plots == 2 + 1 + 1 + 2 + 1


def test_searches_stand_in_running_order(page):
    text = page.text
    assert text.index("Before head") < text.index("Before finetune")


def test_wrong_uncertain_and_right_pictures_are_shown_as_pictures(page, untouched_run):
    table = pd.read_csv(untouched_run / "predictions" / "valid.csv")
    mistakes = int((table["label"] != table["prediction"]).sum())
    assert 0 < mistakes < 12
    assert page.pictures == mistakes + 6 + 6


@pytest.mark.fault(
    "Pictures", "A picture is gone when the report is written", "The report has a tile with its name"
)
def test_a_picture_that_has_gone_shows_a_tile_with_its_name(run_dir):
    edit_predictions(run_dir, path="/gone/away/lost.jpg")
    page = shown(run_dir)
    assert page.pictures == 0
    assert "lost.jpg cannot be read" in page.text


def test_relative_paths_start_at_the_working_directory(run_dir, tmp_path, monkeypatch):
    source = pd.read_csv(run_dir / "predictions" / "valid.csv")["path"][0]
    (tmp_path / "one.jpg").symlink_to(source)
    edit_predictions(run_dir, path="one.jpg")
    monkeypatch.chdir(tmp_path)
    assert Page(write_report(run_dir)).pictures > 12


@pytest.mark.fault("Files of strangers", "A class is called `<script>`", "Pages escape it")
def test_class_names_are_escaped(make_run):
    names = ["<script>alert(1)</script>", "a & b", "$x$", "犬 ü", "label", 'say "x"']
    page = shown(make_run(names))
    assert "script" not in page.tags
    assert all(name in page.text for name in names)


def test_the_config_is_shown_escaped(page):
    assert "root: data/stamps # <b>&" in page.text
    assert page.text.count("The whole config of this run") == 1


def test_a_run_without_validation_gives_a_report(run_dir):
    without_validation(run_dir)
    page = shown(run_dir)
    assert "trained without validation" in page.text
    assert "val/acc" not in page.text
    assert page.plots == 2 + 1 + 2


def test_unlabelled_predictions_show_the_uncertain_pictures_alone(run_dir):
    edit_predictions(run_dir, label="")
    page = shown(run_dir)
    assert page.pictures == 6
    assert "Confusion" not in page.text


def test_a_perfect_model_is_congratulated(run_dir):
    table = pd.read_csv(run_dir / "predictions" / "valid.csv")
    edit_predictions(run_dir, label=table["prediction"])
    text = shown(run_dir).text
    assert "48 of 48 validation pictures right" in text
    assert text.count("No picture was misclassified.") == 3


def test_many_classes_have_a_drawn_matrix_and_fold_the_best_ones_away(make_run):
    names = [f"breed number {index:03d} <long name>" for index in range(120)]
    page = shown(make_run(names, num_pictures=240))
    assert "The other 90 classes" in page.text
    assert all(name in page.text for name in names)


def test_a_run_that_has_only_begun_gives_a_report(run_dir):
    for name in ("summary.json", "plan.csv", "config.yaml"):
        (run_dir / name).unlink()
    page = shown(run_dir)
    assert "6 classes · 3 phases" in page.text
    assert "Configuration" not in page.text


def test_a_phase_called_na_keeps_its_name(run_dir):
    metrics = pd.read_csv(run_dir / "metrics.csv")
    metrics["phase"] = metrics["phase"].replace("head", "NA")
    metrics.to_csv(run_dir / "metrics.csv", index=False)
    assert "NA 2 64" in shown(run_dir).text


def test_a_directory_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"neither metrics.csv nor summary.json"):
        write_report(tmp_path)


@pytest.mark.parametrize("name", ["val/acc_best_crossfit_low", "model/f1_macro_crossfit"])
def test_a_share_that_is_none_is_refused(run_dir, name):
    (run_dir / "summary.json").write_text(f'{{"{name}": 7}}')
    with pytest.raises(InputError, match=name):
        write_report(run_dir)


@pytest.mark.parametrize("found", ['["a", 0.5]', "[0.5, 2]", "0.5"])
def test_thresholds_that_are_no_probabilities_are_refused(run_dir, found):
    (run_dir / "summary.json").write_text(f'{{"task": "multilabel", "thresholds": {found}}}')
    with pytest.raises(InputError, match=r"thresholds=.*: no run writes that"):
        write_report(run_dir)


def test_a_damaged_summary_is_named(run_dir):
    (run_dir / "summary.json").write_text("{")
    with pytest.raises(InputError, match=r"summary.json is damaged"):
        write_report(run_dir)
