"""What a main exits with, and what it says, whatever happens inside."""

import errno
import sys

import pytest
from composing import compose_from
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from imageclf import InputError, Preempted
from imageclf.configs import CONF_DIR, ending, entry, recorded, run_main
from imageclf.system.errors import RunError


@pytest.fixture(autouse=True)
def no_failures(monkeypatch):
    monkeypatch.setattr(ending, "_failures", [])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")


def raising(error):
    def main() -> None:
        raise error

    return main


def code_of(main) -> int:
    with pytest.raises(SystemExit) as leaving:
        run_main(main)
    return leaving.value.code


def unknown(key: str, value: str) -> ConfigCompositionException:
    """Return what Hydra raises for an override of a key that the YAML does not have."""
    cfg = OmegaConf.create({"trainer": {"devices": 1}, "seed": 1})
    OmegaConf.set_struct(cfg, True)
    try:
        OmegaConf.update(cfg, key, value)
    except (ConfigAttributeError, ConfigKeyError) as cause:
        error = ConfigCompositionException(
            f"Could not override '{key}'.\nTo append to your config use +{key}"
        )
        error.__cause__ = cause
        return error
    raise AssertionError(f"{key} is there")


def interrupted_inside_lightning() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize(
    ("main", "code"),
    [
        (lambda: None, 0),
        (raising(InputError("seed=x: give a whole number")), 1),
        (raising(HydraException("no such group")), 1),
        (raising(ValueError("Config group override must be a string")), 1),
        (raising(PermissionError("hydra.run.dir is not to be made")), 1),
        (raising(RuntimeError("out of memory")), 2),
        (recorded(raising(ValueError("a bug in a job"))), 2),
        (recorded(raising(OSError("the disk is full"))), 2),
        (raising(KeyboardInterrupt()), 130),
        (interrupted_inside_lightning, 130),
        (raising(SystemExit(3)), 3),
    ],
)
def test_the_exit_code_says_how_it_went(main, code):
    assert code_of(main) == code


def test_a_mistake_is_one_sentence(capsys):
    code_of(raising(InputError("seed=x: give a whole number")))
    assert capsys.readouterr() == ("", "imageclf: seed=x: give a whole number\n")


def test_a_bug_shows_its_traceback(capsys):
    code_of(raising(RuntimeError("out of memory")))
    assert "Traceback" in (text := capsys.readouterr().err)
    assert text.endswith("RuntimeError: out of memory\n")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.fault(
    "Kills, signals and disks", "The disk is full anywhere else", "One sentence, and what to do"
)
def test_a_full_disk_is_one_sentence_and_a_failed_run(capsys, number):
    assert code_of(recorded(raising(OSError(number, "no room", "RUN/checkpoints/last.ckpt")))) == 2
    sentence = "imageclf: there is no room for RUN/checkpoints/last.ckpt (no room): free some, then go on"
    assert capsys.readouterr().err.startswith(sentence)


def test_an_interruption_is_said(capsys):
    code_of(raising(KeyboardInterrupt()))
    assert capsys.readouterr().err == "imageclf: interrupted\n"


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([InputError("a")], 1),
        ([InputError("a"), InputError("b")], 1),
        ([InputError("a"), RuntimeError("b")], 2),
        ([RuntimeError("a"), InputError("b")], 2),
    ],
)
def test_a_multirun_exits_with_the_highest_code_of_its_jobs(errors, code):
    def main() -> None:
        """Go through all jobs, then raise the first failure, as Hydra does."""
        for error in errors:
            with pytest.raises(type(error)):
                recorded(raising(error))()
        raise errors[0]

    assert code_of(main) == code


def test_a_failure_counts_though_the_sweeper_keeps_it_to_itself(capsys):
    assert code_of(lambda: ending.record(RunError("job 3 (seed=4): ended by SIGKILL", 2))) == 2
    assert capsys.readouterr().err == "imageclf: job 3 (seed=4): ended by SIGKILL\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("a"), 1),
        (HydraException("a"), 1),
        (RuntimeError("a"), 2),
        (SystemExit(0), 2),
        (Preempted("a"), 75),
        (KeyboardInterrupt(), 130),
        (RunError("a", 75), 75),
    ],
)
def test_an_error_of_a_job_stands_for_an_exit_code(error, code):
    assert ending.exit_code(error) == code


def test_every_mistake_of_a_multirun_is_said(capsys):
    def main() -> None:
        for name in ("first", "second"):
            with pytest.raises(InputError):
                recorded(raising(InputError(name)))()
        raise InputError("first")

    code_of(main)
    assert capsys.readouterr().err == "imageclf: first\nimageclf: second\n"


def test_a_recorded_job_returns_what_it_returns():
    assert recorded(lambda number: number + 1)(2) == 3


def test_a_mistake_inside_another_error_is_what_is_said(capsys):
    error = ConfigCompositionException("Error resolving data.root")
    error.__cause__ = InputError("the demo pictures are not installed")
    assert code_of(raising(error)) == 1
    assert capsys.readouterr().err == "imageclf: the demo pictures are not installed\n"


def test_hydras_text_becomes_one_line(capsys):
    text = "In 'train': Could not\n\n\tcompose\n\nConfig search path:\n\tpkg://x"
    code_of(raising(HydraException(text)))
    assert capsys.readouterr().err == "imageclf: In 'train': Could not compose\n"


def test_an_option_that_no_file_has_is_named_as_it_was_typed_with_those_that_there_are(capsys):
    with pytest.raises(HydraException) as refused:
        compose_from(CONF_DIR, ["model/loss=focl"], "train")
    assert code_of(raising(refused.value)) == 1
    said = "imageclf: model/loss=focl: there is no such option; give one of asymmetric, bce, bce_multilabel, "
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "key", "expected"),
    [
        (["main", "trainer.max_time=1"], "trainer.max_time", ["main", "+trainer.max_time=1"]),
        (["main", "-m", "trainer.x=1,2", "seed=3"], "trainer.x", ["main", "-m", "+trainer.x=1,2", "seed=3"]),
        (["main", "seed_=1"], "seed_", ["main", "+seed_=1"]),
        # The node above it is not there either: the mistake is further up.
        (["main", "trainr.devices=1"], "trainr.devices", ["main", "trainr.devices=1"]),
        (["main", "trainer.a.b=1"], "trainer.a.b", ["main", "trainer.a.b=1"]),
    ],
)
def test_a_key_that_the_yaml_leaves_out_gets_its_plus(arguments, key, expected):
    assert entry.with_plus(arguments, unknown(key, "1")) == expected


def test_what_composes_is_called_again_once_the_plus_is_there():
    seen = []

    def compose(arguments: list[str]) -> str:
        seen.append(arguments)
        if arguments != ["seed=1", "+trainer.max_time=1"]:
            raise unknown("trainer.max_time", "1")
        return "composed"

    assert entry.composing(["seed=1", "trainer.max_time=1"], compose) == "composed"
    assert seen == [["seed=1", "trainer.max_time=1"], ["seed=1", "+trainer.max_time=1"]]


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("trainr.devices", "trainr: there is no such key; did you mean trainer?"),
        ("trainer.zzz.b", "trainer.zzz: there is no such key; trainer takes devices"),
    ],
)
def test_a_key_in_a_node_that_is_not_there_is_refused(key, sentence, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["imageclf-train", f"{key}=1"])
    assert code_of(raising(unknown(key, "1"))) == 1
    assert capsys.readouterr().err == f"imageclf: {sentence}\n"


def test_a_word_without_an_equals_sign_is_answered_with_what_quotes_are_for(command):
    (line,) = command("plan", "data=meine", "Bilder").err.splitlines()
    assert (
        line
        == "imageclf: Bilder is not KEY=VALUE; a value with spaces needs quotes, such as 'data=my photos'"
    )


def test_a_mistake_that_shows_while_a_value_is_looked_up_is_said_as_it_is(command, tmp_path):
    (tmp_path / "table.csv").write_text(
        "file,one,two\n" + "".join(f"{i}.jpg,{i % 2},{i % 3}\n" for i in range(9))
    )
    for index in range(9):
        (tmp_path / f"{index}.jpg").touch()
    (line,) = command("plan", f"data={tmp_path}/table.csv").err.splitlines()
    assert line.startswith(f"imageclf: data={tmp_path}/table.csv: the column of classes could be any of")
    assert line.endswith(
        "; give data.label_column=one; if pictures with the same 'two' belong together, "
        "give data.group_column=two, too"
    )


@pytest.mark.fault(
    "Terminals, paths and networks",
    "Nothing can be made in the current folder",
    "A sentence names `hydra.run.dir`",
)
def test_a_folder_that_cannot_be_made_is_one_sentence(command, dataset, monkeypatch) -> None:
    monkeypatch.chdir("/proc")
    outcome = command("plan", f"data={dataset}")
    assert outcome.code == 1 and outcome.mistakes[0].startswith("imageclf: /proc/runs"), outcome
    assert "give hydra.run.dir=FOLDER" in outcome.mistakes[0]
