"""Commands that look at one step, when asked for several ranks."""

import pytest

from imageclf import InputError
from imageclf.launch.one_process import in_one_process

TWO_RANKS = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]


@pytest.mark.parametrize(
    ("typed", "devices", "batch_size"),
    [
        (["trainer=cpu"], 1, 8),
        (TWO_RANKS, 1, 16),
        (["trainer=ddp", "trainer.devices=[2, 3, 5]"], [2], 24),
        ([*TWO_RANKS, "+trainer.num_nodes=2"], 1, 32),
    ],
)
def test_one_process_gets_one_device_and_the_batches_of_all_ranks(parsed, typed, devices, batch_size):
    made = in_one_process(parsed(*typed), whole_batches=True)
    trainer = made.trainer
    assert (trainer["devices"], trainer["strategy"], trainer.get("num_nodes", 1)) == (devices, "auto", 1)
    assert made.data.loading.batch_size == batch_size


@pytest.mark.parametrize(("given", "made"), [(4, 8), ("[4, 6]", [8, 12])])
def test_the_batches_of_a_phase_are_those_of_all_ranks_too(parsed, given, made):
    phase = ["schedule.phases.head.n_cycles=2", f"++schedule.phases.head.batch_size={given}"]
    schedule = in_one_process(parsed(*TWO_RANKS, *phase), whole_batches=True).schedule
    assert schedule.phases["head"].batch_size == made


def test_the_search_for_two_ranks_is_that_of_one_with_both_their_batches(command, tiny, tmp_path):
    def curve(name, *typed):
        given = [*tiny, "callbacks.lr_finder.num_steps=6", f"hydra.run.dir={tmp_path / name}"]
        outcome = command("lr_find", *given, *typed)
        assert outcome.code == 0, outcome.err
        return (tmp_path / name / "lr_find/head.csv").read_text(), outcome.out

    two, said = curve("two", *TWO_RANKS, "data.batch_size=4")
    assert "one process works for 2 ranks, on their batches together: 2 times data.batch_size" in said
    assert two == curve("one", "data.batch_size=8")[0]


def test_the_batch_that_fits_is_that_of_a_process(command, tiny, tmp_path):
    # Batch norm cannot train on a single value of a single picture.
    large = [f"schedule.phases.{phase}.size=64" for phase in ("head", "finetune")]
    outcome = command("batch_size", *tiny, *large, *TWO_RANKS, "limit=2", f"hydra.run.dir={tmp_path}")
    assert outcome.code == 0, outcome.err
    assert "one process works for 2 ranks; data.batch_size is per process" in outcome.out
    assert outcome.out.splitlines()[-1] == "data.batch_size=2"


def test_one_of_several_tasks_is_told_to_start_the_command_by_itself(parsed, monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=r"^srun or torchrun started 2 tasks, .*: start it by itself$"):
        in_one_process(parsed(), whole_batches=True)


@pytest.mark.parametrize("name", ["lr_find", "batch_size", "analyse"])
@pytest.mark.sampled(3)
def test_a_command_besides_training_does_not_run_on_the_login_node(
    name: str, tiny, command, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command(name, *tiny, "cluster=slurm", "cluster.shared_paths=[/]")
    shell = f"imageclf-{name.replace('_', '-')}"
    assert outcome.code == 1
    assert f"cluster=slurm is for imageclf-train; {shell} works where it is started" in outcome.mistakes[0]
    assert f"srun --cpus-per-task=4 {shell}" in outcome.mistakes[0]
