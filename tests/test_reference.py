"""docs/reference.md is what docs/make_reference.py writes, and has every key that a training takes."""

import re
import runpy
from pathlib import Path

from omegaconf import OmegaConf

from imageclf.analysis.run_settings import flatten

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| .* \| (.*) \|$", PAGE, re.MULTILINE)
_PHASE = re.compile(r"^(schedule[.]phases)[.]\w+")


def test_the_page_is_what_its_script_writes():
    script = runpy.run_path(str(ROOT / "docs/make_reference.py"))
    assert script["reference"]() == PAGE, "run python docs/make_reference.py"


def test_every_key_that_a_training_takes_is_in_it(composed):
    listed = {name for name, _ in ROWS}
    cfg = composed("data=csv", "data.root=x", "cluster=slurm", "metrics=all", "logger=tensorboard")
    keys = flatten(OmegaConf.to_container(cfg, resolve=False))
    names = {_PHASE.sub(r"\1.NAME", key) for key in keys if not key.endswith("_target_")}
    # Given by Hydra, or set from other keys.
    assert {key for key in names - listed if "${" not in str(keys.get(key))} == set()
    assert len(names) > 100


def test_every_key_has_a_meaning():
    assert len(ROWS) > 200
    assert [name for name, meaning in ROWS if not meaning.strip()] == []
