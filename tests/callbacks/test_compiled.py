"""A run whose body is compiled."""

import copy
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from probes import lines
from small_runs import RECORDER, SMALL, THREE_PHASES, composed, phases
from torch import nn

from imageclf import InputError
from imageclf.configs import to_plain
from imageclf.model.compiling import CompileClock, compile_backbone
from imageclf.training.build import build_parts
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse

Train = Callable[..., Path]
SHORT = phases(one={"lr": 1e-3, "unfreeze_to": 0})
# Both sizes with the whole network, one of them with the head alone too, and back to what was there.
THERE_AND_BACK = phases(
    head={"lr": 1e-3, "unfreeze_to": "head"},
    whole={"lr": 1e-3, "unfreeze_to": 0},
    larger={"lr": 1e-3, "unfreeze_to": 0, "size": 48},
    again={"lr": 1e-3, "unfreeze_to": "head"},
    last={"lr": 1e-3, "unfreeze_to": 0, "size": 48},
)
_graphs: list[list[int]] = []


@torch._dynamo.register_backend
def counting(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
    """Compile nothing, and note the shape of the pictures that something would be compiled for."""
    shapes = [list(each.shape) for each in inputs if isinstance(each, torch.Tensor) and each.ndim == 4]
    _graphs.append(next(shape for shape in shapes if shape[1] == 3 and shape[2] == shape[3] > 16))
    return graph.forward


@pytest.fixture
def graphs() -> Iterator[list[list[int]]]:
    """Return the shapes of the pictures of each graph that is compiled, in a compiler that knows none yet."""
    torch.compiler.reset()
    _graphs.clear()
    yield _graphs
    torch.compiler.reset()


def compiled(backend: str) -> str:
    return f"model.compile={backend}"


@pytest.mark.long
def test_through_all_phases_it_trains_what_the_plain_body_does(train: Train) -> None:
    plain = train(*THREE_PHASES, RECORDER, "model.head.dropout=0.0", name="plain")
    run = train(*THREE_PHASES, RECORDER, "model.head.dropout=0.0", compiled("aot_eager"), name="compiled")
    losses = [[row["loss"] for row in lines(each, "batch")] for each in (plain, run)]
    assert len(losses[0]) > 10
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
    trainable = [[row["trainable"] for row in lines(each, "epoch")] for each in (plain, run)]
    assert trainable[0] == trainable[1]


@pytest.mark.long
def test_its_checkpoints_bear_the_same_names(train: Train) -> None:
    runs = train(*SHORT, name="plain"), train(*SHORT, compiled("eager"), name="compiled")
    names = [torch.load(run / "snapshots/final.ckpt", weights_only=True)["state_dict"].keys() for run in runs]
    assert names[0] == names[1]


@pytest.mark.long
def test_changes_of_phase_do_not_add_up_to_the_limit_of_compilations(
    train: Train, caplog: pytest.LogCaptureFixture, graphs: list[list[int]]
) -> None:
    few = torch._dynamo.config.patch(recompile_limit=4)
    with few, caplog.at_level(logging.WARNING, logger="torch._dynamo"):
        train(*THREE_PHASES, compiled("counting"))
    assert len(graphs) > 4
    assert "recompile_limit" not in caplog.text


@pytest.mark.long
def test_each_size_and_set_of_trainable_layers_is_compiled_once_and_said(
    train: Train, caplog: pytest.LogCaptureFixture, graphs: list[list[int]]
) -> None:
    with caplog.at_level(logging.INFO, logger="imageclf"):
        train(*THERE_AND_BACK, compiled("counting"))
    # Training and validation of each; the first short batch takes a graph for batches of any length.
    assert [shape[2] for shape in graphs] == [32, 32, 32, 32, 32, 48, 48]
    said = re.findall(r"phase (\w+): compiled (\d) graphs of the body in (\d+\.\d) s", caplog.text)
    # Phases that come back to a size and to layers find their graphs again, and so does the end of the run.
    assert [(name, count) for name, count, _ in said] == [("head", "3"), ("whole", "2"), ("larger", "2")]
    assert all(0 < float(seconds) < 60 for _, _, seconds in said)
    assert "the end of the run: compiled" not in caplog.text


def test_a_run_that_compiles_nothing_says_nothing_of_it(
    train: Train, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="imageclf"):
        train(*SHORT)
    assert "compiled" not in caplog.text


def test_building_a_run_compiles_nothing(pictures: Path, tmp_path: Path, graphs: list[list[int]]) -> None:
    config = parse(
        to_plain(composed([*SMALL, f"data.root={pictures}", compiled("counting")], tmp_path)), RunConfig
    )
    parts = build_parts(config, read_table(config.data))
    assert graphs == []
    parts.module.model(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert graphs == [[2, 3, 32, 32]]


def test_a_copy_of_a_compiled_body_is_a_plain_one(graphs: list[list[int]]) -> None:
    """What averages weights keeps a copy, which must not run the original."""
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    compile_backbone(body, "counting")
    twin = copy.deepcopy(body)
    with torch.no_grad():
        twin[0].weight.zero_()
    twin(torch.ones(2, 3, 32, 32))
    assert graphs == []


def test_a_clock_that_was_stopped_hears_nothing(graphs: list[list[int]]) -> None:
    body, clock = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), CompileClock()
    compile_backbone(body, "counting")
    clock.start()
    body(torch.ones(2, 3, 32, 32))
    heard = clock.take()
    clock.stop()
    body(torch.ones(2, 3, 64, 64))
    assert (heard[0], heard[1] > 0, clock.take(), len(graphs)) == (1, True, (0, 0.0), 2)


def test_an_unknown_backend_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"^model\.compile=inductr: give one of .*inductor"):
        train(*THREE_PHASES, compiled("inductr"))
