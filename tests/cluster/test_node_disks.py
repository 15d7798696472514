"""A cache on a disk of each node, in a folder that a variable of cluster.setup names."""

from pathlib import Path
from typing import NamedTuple

import pytest
from cluster_runs import SLURM, TWO_RANKS, finish, jobs_of, start
from slurm_server import SlurmServer

pytestmark = [pytest.mark.long, pytest.mark.alone]

NODES = ("cluster.nodes=2", "trainer.num_nodes=2", "trainer.devices=1", "cluster.wait=false")
# Each task reads it where it runs, as it does TMPDIR on a real cluster.
CACHE = "data.cache_dir='${oc.env:NODE_DISKS,elsewhere}/${oc.env:SLURMD_NODENAME,login}'"


class Staged(NamedTuple):
    """A run on two nodes, and the folder with the disks of both."""

    run_dir: Path
    disks: Path


@pytest.fixture(scope="module")
def staged(server: SlurmServer, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Staged:
    """A run whose nodes have been told the folder by cluster.setup."""
    folder, disks = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("disks")
    setup = f"cluster.setup=['export NODE_DISKS={disks}']"
    lines, _ = finish(start(server, folder, *tiny, *SLURM, *TWO_RANKS, *NODES, setup, CACHE))
    ((job, run_dir),) = jobs_of(lines).items()
    server.wait_for(job, "COMPLETED", "FAILED")
    assert server.job(job)["JobState"] == "COMPLETED", (run_dir / "train.log").read_text()
    return Staged(run_dir, disks)


def made(disk: Path) -> set[str]:
    """Return the pictures and features of a cache, by their keys."""
    kinds = ("pictures", "features")
    return {f"{kind}/{path.parent.name}" for kind in kinds for path in (disk / kind).glob("*/about.json")}


def test_each_node_makes_the_same_cache_on_its_own_disk(staged: Staged) -> None:
    assert made(staged.disks / "n1") == made(staged.disks / "n2") != set()
    assert {path.name for path in staged.disks.iterdir()} == {"n1", "n2"}


def test_the_config_keeps_the_name_of_the_variable(staged: Staged) -> None:
    assert "${oc.env:NODE_DISKS,elsewhere}" in (staged.run_dir / "config.yaml").read_text()
