"""The configs of the tests, composed quickly, are those that Hydra composes."""

import pytest
from composing import assigned, compose_from
from hydra.errors import ConfigCompositionException
from small_runs import SMALL, THREE_PHASES

from imageclf.configs import CONF_DIR


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        (*SMALL, *THREE_PHASES),
        ("seed=3", "schedule=quick", "schedule.phases.head.lr=0.5", "hydra.run.dir=there", "tags=[a,b]"),
        (
            "~callbacks.report",
            "+callbacks.mine={_target_: m.Own}",
            "model/loss=focal",
            "model.loss.gamma=1",
        ),
    ],
    ids=["nothing", "phases", "values", "classes"],
)
def test_assigning_to_a_copy_composes_what_hydra_does(overrides, monkeypatch, tmp_path):
    assigned(overrides, "train")
    # The copy is of what was composed elsewhere.
    monkeypatch.chdir(tmp_path)
    assert assigned(overrides, "train") == compose_from(CONF_DIR, overrides, "train")


@pytest.mark.parametrize("compose", [assigned, lambda *given: compose_from(CONF_DIR, *given)])
def test_a_key_that_there_is_not_is_refused_alike(compose):
    with pytest.raises(ConfigCompositionException, match=r"override 'data\.sise'"):
        compose(("data=folder", "data.sise=3"), "train")
