"""cluster=slurm: what is refused before anything is submitted, and what a script holds."""

import subprocess
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.commands.prefetch import prefetch
from imageclf.configs import CONF_DIR, read_object, to_plain
from imageclf.configs.options import ClusterOptions
from imageclf.launch.slurm.array_task import ArrayTask
from imageclf.launch.slurm.arrays import arrays_of
from imageclf.launch.slurm.check_jobs import check_data, check_tasks, check_weights_are_here
from imageclf.launch.slurm.sbatch import recording, script
from imageclf.launch.slurm.submit import check_sweep
from imageclf.model.backbone import create_backbone
from imageclf.training.parts.accelerator import num_ranks

# Writes the script, and needs no sbatch here.
SLURM = ("cluster=slurm", "cluster.print=true")
SHARED = "cluster.shared_paths=[/]"


def options(**changed: object) -> ClusterOptions:
    """Return the options of conf/cluster/slurm.yaml, changed."""
    node = OmegaConf.to_container(OmegaConf.load(f"{CONF_DIR}/cluster/slurm.yaml").cluster)
    return ClusterOptions(**{**node, **changed})


@pytest.mark.parametrize(
    ("trainer", "cluster"),
    [
        ({"devices": 1, "accelerator": "cpu"}, {}),
        ({"devices": "auto", "accelerator": "cpu"}, {}),
        ({"devices": 1, "num_nodes": 2, "strategy": "ddp"}, {"nodes": 2}),
        ({"devices": 4, "num_nodes": 2, "strategy": "ddp"}, {"nodes": 2, "tasks_per_node": 4}),
        ({"devices": "auto", "strategy": "ddp"}, {"tasks_per_node": 4, "gpus_per_node": 4}),
        ({"devices": [0, 1], "strategy": "ddp"}, {"tasks_per_node": 2}),
    ],
)
def test_a_rank_per_task_is_accepted(trainer: dict, cluster: dict) -> None:
    check_tasks(trainer, options(**cluster))


@pytest.mark.parametrize(
    ("trainer", "cluster", "says"),
    [
        (
            {"devices": 1},
            {"nodes": 2},
            r"2 tasks.* 1 ranks.*trainer=ddp trainer.num_nodes=2 trainer.devices=1",
        ),
        (
            {"devices": 2, "strategy": "ddp"},
            {},
            r"1 tasks.* 2 ranks: give trainer.num_nodes=1 trainer.devices=1",
        ),
        # As many ranks as tasks, but on other nodes.
        ({"devices": 2, "strategy": "ddp"}, {"nodes": 2}, r"2 tasks.* 2 ranks: give trainer.num_nodes=2"),
        ({"devices": "auto"}, {"gpus_per_node": 4}, r"1 tasks.* 4 ranks"),
    ],
)
def test_ranks_and_tasks_that_differ_are_refused(trainer: dict, cluster: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_tasks(trainer, options(**cluster))


def test_devices_are_counted_on_the_node_and_not_here() -> None:
    assert num_ranks({"devices": "auto", "accelerator": "gpu"}, num_gpus=8) == 8


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("cluster.nodes=0", r"^cluster\.nodes=0: give a number from 1 to 1000000$"),
        ("cluster.max_num_timeout=-1", r"^cluster\.max_num_timeout=-1: give a number from 0 to 1000000$"),
    ],
)
def test_a_number_that_slurm_would_refuse_is_refused(parsed, typed: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parsed("cluster=slurm", typed)


@pytest.mark.parametrize("weights", ["none", "packaged"])
def test_weights_that_need_no_file_of_their_own_are_accepted(weights: str) -> None:
    assert check_weights_are_here({"backbone": "tf_efficientnet_lite0", "weights": weights}) is None


def test_a_file_of_weights_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        check_weights_are_here({"backbone": "test_resnet", "weights": str(tmp_path / "mine.pth")})


def test_a_run_whose_weights_a_job_starts_from_is_the_file_that_it_reports(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    state = create_backbone("test_resnet", "none").state_dict()
    torch.save({"state_dict": state, "classes": ["a"]}, tmp_path / "snapshots" / "final.ckpt")
    model = {"backbone": "test_resnet", "weights": str(tmp_path)}
    assert check_weights_are_here(model) == tmp_path / "snapshots" / "final.ckpt"
    assert prefetch(model).startswith("there is nothing to fetch: test_resnet has its weights in ")


@pytest.mark.fault(
    "Several processes and clusters", "The data of a job do not exist", "It is refused before the queue"
)
def test_data_that_is_not_there_is_refused_before_the_queue(composed, tiny, tmp_path: Path) -> None:
    data = to_plain(composed(*tiny))["data"]
    with pytest.raises(InputError, match="nowhere"):
        check_data({**data, "root": str(tmp_path / "nowhere")}, ranks=1)


def test_fewer_validation_pictures_than_ranks_are_refused(composed, tiny) -> None:
    data = to_plain(composed(*tiny))["data"]
    with pytest.raises(InputError, match="12 validation pictures for 16 ranks"):
        check_data(data, ranks=16)


def search(wait: bool = True, prints: bool = False):
    """Return as much of a search's config as is looked at."""
    sweeper = {"_target_": "hydra_plugins.imageclf_search.sweeper.SearchSweeper"}
    hydra = {"job": {"config_name": "train"}, "overrides": {"hydra": []}, "sweeper": sweeper}
    return OmegaConf.create({"hydra": hydra, "cluster": {"wait": wait, "print": prints}})


@pytest.mark.parametrize(
    ("given", "key"), [({"wait": False}, "cluster.wait=false"), ({"prints": True}, "cluster.print=true")]
)
def test_a_search_that_does_not_wait_for_scores_is_refused(given: dict[str, bool], key: str) -> None:
    with pytest.raises(InputError, match=f"{key}: a search submits its runs and waits for their scores"):
        check_sweep(search(**given), 1)


def test_the_check_of_a_search_that_waits_gets_as_far_as_sbatch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="there is no sbatch here"):
        check_sweep(search(wait=True), 1)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cluster.node=2"], "cluster.node: there is no such key; did you mean cluster.nodes?"),
        (["cluster.minutes=soon"], "cluster.minutes"),
        (
            ["cluster.minutes=2"],
            "cluster.signal_seconds=120: with cluster.minutes=2 a job would be told to save",
        ),
        (["cluster.nodes=2"], "cluster.nodes=2 x cluster.tasks_per_node=1 are 2 tasks"),
        (["-m", "seed=1,2", "hydra.run.dir=mine"], "hydra.run.dir=mine is for one run, and a sweep"),
        (["-m", "cluster.minutes=10,20"], "cluster.minutes is swept"),
        (["model.weights=hub"], "run imageclf-prefetch model.backbone=test_resnet first"),
        (["seed=-1"], "seed=-1: give a number from 0"),
        (["data.train=nowhere"], "nowhere"),
    ],
)
@pytest.mark.sampled(3)
def test_a_mistake_is_one_sentence_and_nothing_is_made(
    arguments: list[str], says: str, tiny: list[str], command, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags, words = arguments[: arguments[0] == "-m"], arguments[arguments[0] == "-m" :]
    outcome = command("train", *flags, *tiny, *SLURM, SHARED, *words)
    assert outcome.code == 1
    assert len(outcome.mistakes) == 1
    assert says in outcome.mistakes[0]
    assert [
        path for path in tmp_path.glob("runs/**/*") if path.is_file() and path.name != "multirun.yaml"
    ] == []


def test_a_sweep_in_a_folder_of_this_machine_alone_is_refused(tiny, command, monkeypatch) -> None:
    # Below /tmp, wherever the tests' own folders are.
    monkeypatch.chdir("/tmp")
    outcome = command("train", *tiny, *SLURM, "hydra.sweep.dir=/tmp/imageclf-test-refused")
    assert outcome.code == 1
    assert not Path("/tmp/imageclf-test-refused").exists()
    assert (
        "hydra.sweep.dir=/tmp/imageclf-test-refused/0 is in /tmp, which compute nodes do not see"
        in outcome.err
    )


def test_a_printed_script_comes_with_run_directories_that_are_ready(
    tiny, command, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("train", "-m", *tiny, *SLURM, SHARED, "seed=1,2")
    folder = Path(outcome.out.splitlines()[-1])
    assert outcome.code == 0
    assert sorted(path.parent.name for path in folder.glob("*/config.yaml")) == ["0", "1"]
    assert "#SBATCH --array=0-1%256" in outcome.out
    assert (folder / "sbatch.sh").read_text() in outcome.out


@pytest.mark.fault(
    "Several processes and clusters",
    "A sweep goes on with other resources",
    "It goes on: what does not change a result may change",
)
def test_a_sweep_goes_on_with_other_resources(tiny, command, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = ("-m", *tiny, SHARED, *SLURM, "hydra.sweep.dir=mine", "seed=1,2")
    assert command("train", *sweep).code == 0
    longer = ("cluster.minutes=20", "cluster.mem_gb=2", "cluster.wait=false", "ckpt_path=auto")
    outcome = command("train", *sweep, *longer)
    assert outcome.code == 0, outcome.err
    assert {"#SBATCH --time=20", "#SBATCH --mem=2G"} <= {*outcome.out.splitlines()}


def test_a_script_is_shell_that_bash_accepts(tmp_path: Path) -> None:
    given = options(setup=["module load cuda || true"], partition="a b", mem_gb=4, cpus_per_task=3)
    text = script("train", tmp_path, [tmp_path / "0", tmp_path / "a 'b'"], given)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    assert "#SBATCH --partition='a b'" in text
    assert text.index("module load") < text.index("export SRUN_CPUS_PER_TASK=3") < text.index("srun ")


@pytest.mark.parametrize(
    ("end", "code", "recorded"),
    [
        ("kill -9 $BASHPID", 137, "killed"),
        ("exit 253", 253, "killed"),  # srun's, where SLURM has noticed that memory ran out
        ("exit 2", 2, None),
        ("exit 0", 0, None),
        ("exit 143", 143, None),
    ],
)
def test_the_shell_around_a_task_that_is_killed_records_it(
    tmp_path: Path, end: str, code: int, recorded: str | None
) -> None:
    runs = [tmp_path / "0", tmp_path / "a 'b'"]
    for each in runs:
        each.mkdir()
    lines = "\n".join([*recording(runs), f"( {end} )"])
    done = subprocess.run(["bash"], input=lines, text=True, check=False, env={"SLURM_ARRAY_TASK_ID": "1"})
    assert done.returncode == code
    failures = {path.parent: read_object(path)["status"] for path in tmp_path.glob("*/failed.json")}
    assert failures == ({runs[1]: recorded} if recorded else {})
    for path in tmp_path.glob("*/failed.json"):
        assert f"(exit code {code})" in str(read_object(path)["cause"])


def test_a_trap_and_variables_of_the_setup_stay(tmp_path: Path) -> None:
    given = options(setup=["run=mine", f"trap 'echo $run >{tmp_path}/kept' EXIT"])
    lines = script("train", tmp_path, [tmp_path], given).partition("srun ")[0]
    subprocess.run(["bash"], input=lines, text=True, check=True, env={})
    assert (tmp_path / "kept").read_text() == "mine\n"


def test_the_shell_keeps_what_a_rank_has_recorded_of_its_end(tmp_path: Path) -> None:
    (tmp_path / "failed.json").write_text('{"status": "input"}')
    lines = "\n".join([*recording([tmp_path]), "( kill -9 $BASHPID )"])
    subprocess.run(["bash"], input=lines, text=True, check=False, env={})
    assert read_object(tmp_path / "failed.json") == {"status": "input"}


def test_a_task_leaves_with_the_exit_code_of_a_command(tmp_path: Path, capsys) -> None:
    (tmp_path / "config.yaml").write_text("seed: ???\n")
    with pytest.raises(SystemExit) as leaving:
        ArrayTask()(str(tmp_path))
    assert leaving.value.code == 1
    assert "imageclf: seed is missing" in capsys.readouterr().err


def test_a_requeued_task_does_the_same_again() -> None:
    submitit = pytest.importorskip("submitit")
    again = ArrayTask().checkpoint("runs/train/ID/0")
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert isinstance(again.function, ArrayTask)
    assert again.args == ("runs/train/ID/0",)


def test_runs_beyond_the_largest_array_go_into_further_ones_in_their_order() -> None:
    runs = [object() for _ in range(7)]
    arrays = arrays_of(runs, 3)
    assert [len(array) for array in arrays] == [3, 3, 1]
    assert [run for array in arrays for run in array] == runs
