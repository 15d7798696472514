"""A run whose body is compiled."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from probes import lines
from small_runs import RECORDER, THREE_PHASES, phases

from imageclf import InputError

Train = Callable[..., Path]
SHORT = phases(one={"lr": 1e-3, "unfreeze_to": 0})


def compiled(backend: str) -> str:
    return f"model.compile={backend}"


def test_through_all_phases_it_trains_what_the_plain_body_does(train: Train) -> None:
    plain = train(*THREE_PHASES, RECORDER, "model.head.dropout=0.0", name="plain")
    run = train(*THREE_PHASES, RECORDER, "model.head.dropout=0.0", compiled("aot_eager"), name="compiled")
    losses = [[row["loss"] for row in lines(each, "batch")] for each in (plain, run)]
    assert len(losses[0]) > 10
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    trainable = [[row["trainable"] for row in lines(each, "epoch")] for each in (plain, run)]
    assert trainable[0] == trainable[1]


def test_its_checkpoints_bear_the_same_names(train: Train) -> None:
    runs = train(*SHORT, name="plain"), train(*SHORT, compiled("eager"), name="compiled")
    names = [torch.load(run / "snapshots/final.ckpt", weights_only=True)["state_dict"].keys() for run in runs]
    assert names[0] == names[1]


def test_changes_of_phase_do_not_add_up_to_the_limit_of_compilations(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    # As many as a phase needs: training and validation. monkeypatch would leave the option deleted.
    limited = torch._dynamo.config.patch(recompile_limit=4)
    with limited, caplog.at_level(logging.WARNING, logger="torch._dynamo"):
        train(*THREE_PHASES, compiled("eager"))
    assert "recompile_limit" not in caplog.text


def test_an_unknown_backend_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"^model\.compile=inductr: give one of .*inductor"):
        train(*THREE_PHASES, compiled("inductr"))
