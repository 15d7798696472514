"""A head that goes on from an older one, class by class."""

import logging

import pytest
import torch
from torch import nn

from imageclf.model.head import FastaiHead, LinearHead
from imageclf.model.weights.head_rows import keep_rows

OLD, NEW = ("cat", "dog", "emu"), ("emu", "fox", "cat", "gnu")


def content(head, classes=OLD):
    tensors = {f"head.{name}": each for name, each in head.state_dict().items()}
    return {"classes": classes, "state_dict": tensors}


def last_of(head):
    return [each.detach().clone() for each in (head[-1].weight, head[-1].bias)]


@pytest.mark.parametrize("kind", [LinearHead, FastaiHead])
def test_classes_that_stay_keep_their_rows_wherever_they_are_now(kind, caplog):
    caplog.set_level(logging.INFO)
    old, new = kind(5, 3), kind(5, 4)
    drawn = last_of(new)
    keep_rows(new, NEW, content(old))
    for now, before, first in zip(last_of(new), last_of(old), drawn, strict=True):
        assert torch.equal(now[[0, 2]], before[[2, 0]])
        assert torch.equal(now[[1, 3]], first[[1, 3]])
    assert "the head keeps what it knows of 2 classes: emu and cat; fox and gnu start anew" in caplog.text


def test_of_a_thousand_classes_eight_are_named(caplog):
    caplog.set_level(logging.INFO)
    old, new = ([f"c{number}" for number in range(start, start + 1000)] for start in (0, 500))
    keep_rows(LinearHead(5, 1000), new, content(LinearHead(5, 1000), old))
    named = ", ".join(f"c{number}" for number in range(500, 508))
    assert f"of 500 classes: {named} and 492 more; c1000, c1001" in caplog.text
    assert "c1007 and 492 more start anew" in caplog.text


def test_layers_below_the_last_are_those_of_the_older_head():
    old, new = FastaiHead(5, 3), FastaiHead(5, 4)
    old[0].running_mean.fill_(0.5)
    keep_rows(new, NEW, content(old))
    below = [name for name in old.state_dict() if not name.startswith("6.")]
    assert all(torch.equal(old.state_dict()[name], new.state_dict()[name]) for name in below)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (content(FastaiHead(5, 3)), "the one in the file is of another kind"),
        (content(LinearHead(6, 3)), "the one in the file is of another kind"),
        (content(LinearHead(5, 3), ["x", "y", "z"]), "no class is in the file"),
    ],
)
def test_a_head_that_cannot_go_on_starts_anew_and_says_so(file, reason, caplog):
    head = LinearHead(5, 4)
    drawn = {name: each.clone() for name, each in head.state_dict().items()}
    keep_rows(head, NEW, file)
    assert all(torch.equal(drawn[name], each) for name, each in head.state_dict().items())
    assert f"the head starts anew: {reason}" in caplog.text


def test_a_file_without_class_names_leaves_the_head_alone(caplog):
    caplog.set_level(logging.INFO)
    keep_rows(LinearHead(5, 4), NEW, nn.Linear(5, 3).state_dict())
    assert caplog.text == ""
