"""What an exported model's README says of it."""

import pytest

from imageclf.report.model_card import model_card, origin_of
from imageclf.report.run_files import CandidateScore

SUMMARY = {"num_train": 204, "model": "soup", "model/pictures": 51, "model/chosen": True}
SOUP = CandidateScore("soup", ["head-0"], 46 / 51, 0.36)


def card(classes=("cat", "dog"), summary=SUMMARY, exported=SOUP, origin=""):
    return model_card(classes, summary, exported, "resnet34", origin)


def test_the_result_has_its_interval_and_how_it_was_chosen():
    assert (
        "- **Result**: 46 of 51 validation pictures right (90.2 %; 95 % interval 79.0 % to 95.7 %). It was "
        "chosen for doing best on these very pictures, so expect a little less on new ones."
    ) in card()


def test_the_result_has_what_pictures_say_that_did_not_choose_the_model():
    crossfit = {"": 0.8725, "_low": 0.7536, "_high": 0.9383}
    measured = {f"val/acc_best_crossfit{end}": value for end, value in crossfit.items()}
    assert (
        "It was chosen for its 90.2 % on these very pictures; chosen by one half of them and scored by the "
        "other, the best candidate gets 87.2 % right (95 % interval 75.4 % to 93.8 %), which is what to "
        "expect on new ones."
    ) in card(summary=SUMMARY | measured | {"val/acc_best": 46 / 51})


def test_labelled_test_pictures_are_a_score_of_their_own():
    tested = SUMMARY | {"test/acc": 9 / 15, "num_test": 15}
    assert "- **Test**: 9 of 15 test pictures right (60.0 %; 95 % interval 35.7 % to 80.2 %)." in card(
        summary=tested
    )


def test_the_test_score_of_another_candidate_is_not_told():
    assert "**Test**" not in card(summary=SUMMARY | {"model": "final", "test/acc": 0.6, "num_test": 15})


def test_without_held_out_pictures_the_result_is_unknown():
    assert "- **Result**: unknown, because no picture was held out." in card(exported=None)


def test_several_labels_are_not_one_of_the_classes():
    told = card(summary=SUMMARY | {"task": "multilabel"})
    assert "gives a picture those whose probability reaches their threshold" in told
    assert "one of these classes" not in told


def test_of_many_classes_the_first_are_named():
    assert "`c19` and 980 more" in card(classes=[f"c{number}" for number in range(1000)])


def test_of_another_candidate_than_the_reported_one_it_does_not_say_that_it_was_chosen():
    assert "It was chosen" not in card(summary=SUMMARY | {"model": "final"})


def test_the_licence_is_that_of_the_pretrained_weights():
    assert origin_of("hub", "resnet34", "apache-2.0") == (
        "training began with pretrained weights of resnet34; timm gives the licence apache-2.0 for them. "
        "Your data may add terms."
    )


def test_where_timm_gives_no_licence_it_says_so():
    assert "timm gives no licence for them" in origin_of("packaged", "resnet34", "")


@pytest.mark.parametrize("weights", ["none", "/a/file.pth"])
def test_of_weights_that_are_not_timms_no_licence_of_timms_is_told(weights):
    assert "timm" not in origin_of(weights, "my_model.SmallNet", "apache-2.0")
