"""The commands of docs/cluster.md, one after the other, on a real SLURM."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from cluster_runs import finish, jobs_of, start
from slurm_server import SlurmServer

GUIDE = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("imageclf-")]

# Made small, but otherwise as the guide has them.
SMALL = (
    "model.backbone=test_efficientnet",
    "model.weights=none",
    "data.size=32",
    "data.num_workers=0",
    "schedule=quick",
    "schedule.phases.head.size=32",
    "schedule.phases.finetune.size=32",
    "cluster.shared_paths=[/]",
)


def test_the_guide_holds_six_commands() -> None:
    assert [command.split()[0] for command in COMMANDS] == ["imageclf-prefetch", *["imageclf-train"] * 5]


def test_every_key_of_the_cluster_is_in_the_guide() -> None:
    from omegaconf import OmegaConf

    from imageclf.configs import CONF_DIR

    keys = [f"cluster.{name}" for name in OmegaConf.load(f"{CONF_DIR}/cluster/slurm.yaml").cluster]
    assert len(keys) == 15
    assert [key for key in keys if key not in GUIDE] == []


@pytest.mark.long
@pytest.mark.alone
def test_the_guide_leads_to_a_finished_sweep_on_two_nodes(
    server: SlurmServer, pictures: Path, tmp_path: Path
) -> None:
    shutil.copytree(pictures, tmp_path / "PICTURES")
    # The command says that it is none of the pictures; in a script that would be no line of shell.
    (tmp_path / "PICTURES/notes.txt").touch()
    # The last two go on with what the one before them began.
    started = [begin(server, tmp_path, command) for command in COMMANDS[:-2]]
    printed = [finish(process)[0] for process in started]
    started = [begin(server, tmp_path, command) for command in COMMANDS[-2:]]
    printed += [finish(process)[0] for process in started]
    assert printed[0][0].startswith("there is nothing to fetch: tf_efficientnet_lite0")
    ((first, run_dir),) = jobs_of(printed[1]).items()
    server.wait_for(first, "COMPLETED", "FAILED")
    assert (run_dir / "report.html").exists()
    assert (run_dir.parent / ".submitit").is_dir()
    (script,) = tmp_path.glob("runs/train/*/sbatch.sh")
    piped = f"{printed[2][0].removeprefix('Submitted batch job ')}_0"
    server.wait_for(piped, "COMPLETED", "FAILED")
    assert server.job(piped)["JobState"] == "COMPLETED"
    assert (script.parent / "0/summary.json").exists()
    jobs = jobs_of(printed[3])
    assert {server.job(job)["NumNodes"] for job in jobs} == {"2"}
    sweep = tmp_path / "runs/two-nodes"
    assert list(jobs.values()) == [sweep / "0", sweep / "1"]
    assert [json.loads((sweep / number / "summary.json").read_text())["epochs"] for number in "01"] == [2, 2]
    # All was finished already.
    assert jobs_of(printed[4]) == jobs_of(printed[5]) == {}
    assert printed[5][-1] == str(sweep / "0")


def begin(server: SlurmServer, folder: Path, command: str) -> "subprocess.Popen[str]":
    """Start a command of the guide; what it prints may be piped to another one."""
    typed, _, taker = command.partition(" | ")
    main, *words = shlex.split(typed)
    small = SMALL if main == "imageclf-train" else ()
    return start(server, folder, *words, *small, main=main.removeprefix("imageclf-"), taker=taker)
