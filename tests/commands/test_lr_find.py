"""What the search prints: the override to paste, or why there is none."""

import pytest

from imageclf.analysis.lr_curve import Suggestion
from imageclf.commands.lr_find import LrFindConfig, factor_of, suggestion_lines
from imageclf.configs.plain import select
from imageclf.training.run_config import parse


@pytest.mark.parametrize(
    ("found", "pasted"),
    [(0.0026349, "2.6e-03"), (1.0, "1.0e+00"), (9.96e-5, "1.0e-04")],
)
def test_a_suggestion_is_printed_as_the_override_to_paste(found, pasted):
    said, override = suggestion_lines("finetune", Suggestion(found))
    assert said == f"finetune: the suggested learning rate of the head is {found:.2e}; to train with it, give"
    assert override == f"schedule.phases.finetune.lr={pasted}"


@pytest.mark.parametrize(
    ("typed", "factor"),
    [
        ([], 1.0),
        (["lr_scaling=linear", "data.batch_size=256"], 4.0),
        (["lr_scaling=sqrt", "data.batch_size=16"], 0.5),
    ],
)
def test_the_override_is_for_the_scaling_that_a_training_does(config, typed, factor):
    parsed = parse(config("+phase=null", *typed), LrFindConfig)
    assert factor_of(parsed) == factor
    said, override = suggestion_lines("head", Suggestion(0.004), factor)
    assert float(override.partition("=")[2]) * factor == pytest.approx(0.004)
    assert ("lr_scaling" in said) == (factor != 1)


def test_the_override_is_one_that_a_training_takes(config):
    override = suggestion_lines("finetune", Suggestion(0.0026))[1]
    assert select(config(override), "schedule.phases.finetune.lr") == 0.0026


def test_a_search_that_finds_nothing_says_why_and_offers_nothing_to_paste():
    lines = suggestion_lines("head", Suggestion(None, "the loss never fell"))
    assert lines == ["head: no learning rate is suggested, because the loss never fell; choose by the plot"]
