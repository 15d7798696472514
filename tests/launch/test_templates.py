"""Jobs that share the files of their options have the configs that Hydra composes for each."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf

from imageclf.configs import CONF_DIR
from imageclf.launch.templates import share_files

JOBS = [
    ["seed=1"],
    ["seed=2", "tags=[a,b]"],
    ["seed=2", "schedule=quick", "schedule.phases.head.lr=0.5"],
    ["schedule.phases.head.lr=0.1", "schedule=quick", "seed=3"],
    ["~callbacks.report", "+callbacks.mine={_target_: mine.Own}", "model/loss=focal", "model.loss.gamma=1"],
    ["data.size=64", "data={size: 32}", "data.size=48"],
]


@pytest.mark.parametrize("overrides", JOBS, ids=" ".join)
def test_the_config_of_a_job_is_the_one_that_hydra_composes(overrides: list[str]) -> None:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", ["hydra.sweep.dir=sweep"], RunMode.MULTIRUN)
        expected = loader.load_sweep_config(sweep, overrides)
        share_files(loader)
        # The second one comes from the template of the first.
        loader.load_sweep_config(sweep, [*overrides, "seed=99"])
        found = loader.load_sweep_config(sweep, overrides)
    assert OmegaConf.to_container(found) == OmegaConf.to_container(expected)
    assert OmegaConf.is_struct(found)


def test_a_key_that_there_is_not_is_refused_as_hydra_refuses_it() -> None:
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", [], RunMode.MULTIRUN)
        share_files(loader)
        with pytest.raises(ConfigCompositionException, match=r"override 'data\.sise'") as refused:
            loader.load_sweep_config(sweep, ["data.sise=3"])
    # By this a key of a class of one's own is told from a misspelt one.
    assert refused.value.__cause__.full_key == "data.sise"
