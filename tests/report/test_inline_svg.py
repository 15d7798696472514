"""Figures as elements of a page: its colours, no style or name that reaches beyond them, text as text."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import imageclf.report
from imageclf.analysis.balance import class_balance
from imageclf.analysis.scores import reliability
from imageclf.report.plots.balance_plot import balance_figure
from imageclf.report.plots.calibration_plot import calibration_figure
from imageclf.report.plots.confusion_plot import confusion_figure
from imageclf.report.plots.curves import (
    accuracy_figure,
    colours,
    learning_rate_figure,
    loss_figure,
    runs_figure,
)
from imageclf.report.plots.inline import inline_svg
from imageclf.report.plots.lr_find_plot import lr_find_figure
from imageclf.report.plots.sizes_plot import sizes_figure
from imageclf.report.plots.style import PALETTE

CSS = (Path(imageclf.report.__file__).parent / "page.css").read_text(encoding="utf-8")
HOSTILE = ["</svg><script>alert(1)</script>", "a & b", "<!-- ]]>", '" onload="x', "$x_1$\x07"]


@pytest.fixture
def figures(run_tables):
    """Return a figure of every kind."""
    plan, metrics = run_tables
    rates = np.geomspace(1e-5, 1, 20)
    curve = plan.head(20).assign(lr=rates, loss=2 - rates, smoothed=2 - rates)
    pictures = plan.assign(width=plan.index + 900, height=1200, fault="", label="a", split="train")
    runs = {str(number): metrics for number in range(8)}
    return [
        learning_rate_figure(plan),
        loss_figure(metrics),
        accuracy_figure(metrics),
        lr_find_figure(curve, 1e-3),
        lr_find_figure(curve, None),
        confusion_figure(np.array([[3, 1], [0, 2]]), ["a", "b"]),
        calibration_figure(reliability(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))),
        runs_figure(runs, "val/acc", colours(list(runs))),
        balance_figure(class_balance(pictures, ["a"])),
        sizes_figure(pictures, 1000),
    ]


def ids(svg):
    return set(re.findall(r'\bid="([^"]*)"', svg))


def test_every_colour_is_a_variable_of_the_page(figures):
    for figure in figures:
        svg = inline_svg(figure, "")
        assert not re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^\"]*\))", svg)
        assert {*re.findall(r"var\(--(\w+)\)", svg)} <= set(PALETTE)


def test_the_page_has_every_colour_in_light_dark_and_print():
    for name in PALETTE:
        assert len(re.findall(rf"--{name}: #[0-9a-f]{{6}};", CSS)) == 3


def test_a_figure_restyles_nothing_but_itself(figures):
    for figure in figures:
        svg = inline_svg(figure, "")
        assert {"style", "metadata", "script"} & {
            each.tag for each in ElementTree.fromstring(svg).iter()
        } == set()


def test_what_is_referred_to_is_there_and_is_in_no_other_figure(figures):
    drawn = [inline_svg(figure, "") for figure in figures]
    for svg in drawn:
        assert set(re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', svg)) <= {
            pair for each in ids(svg) for pair in ((each, ""), ("", each))
        }
    assert sum(len(ids(svg)) for svg in drawn) == len(set().union(*map(ids, drawn)))


def test_names_are_text_whatever_they_hold():
    svg = inline_svg(confusion_figure(np.eye(5, dtype=int), HOSTILE), HOSTILE[0])
    root = ElementTree.fromstring(svg)
    shown = {"".join(text.itertext()) for text in root.iter("text")}
    assert {"a & b", "<!-- ]]>", '" onload="x', "$x_1$ "} <= shown
    assert "<script" not in svg
    assert root.attrib["aria-label"] == HOSTILE[0]
    assert "onload" not in {name for each in root.iter() for name in each.attrib}
