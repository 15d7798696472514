import pkgutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imageclf import analysis
from imageclf.report.plots.confusion_plot import confusion_figure
from imageclf.report.plots.curves import accuracy_figure, learning_rate_figure, loss_figure
from imageclf.report.plots.lr_find_plot import lr_find_figure
from imageclf.report.plots.style import plain, save_figure, svg_bytes

RATES = np.geomspace(1e-5, 1, 20)
CURVE = pd.DataFrame({"lr": RATES, "loss": 2 - RATES, "smoothed": 2 - RATES})


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def line(figure, label):
    return next(line for line in figure.axes[0].lines if line.get_label() == label)


@pytest.fixture
def plan(run_tables):
    return run_tables[0]


@pytest.fixture
def metrics(run_tables):
    return run_tables[1]


def test_the_phases_are_named_above_the_learning_rates(plan):
    assert words(learning_rate_figure(plan)) == ["head", "finetune", "bigger"]


def test_differential_learning_rates_get_a_logarithmic_axis(plan):
    assert learning_rate_figure(plan).axes[0].get_yscale() == "log"


def test_a_single_learning_rate_gets_a_linear_axis(plan):
    assert learning_rate_figure(plan.drop(columns=["lr/body0", "lr/body1"])).axes[0].get_yscale() == "linear"


def test_a_frozen_group_is_not_drawn(plan):
    drawn = line(learning_rate_figure(plan), "body0")
    assert np.isnan(drawn.get_ydata()[drawn.get_xdata() < 10]).all()


def test_a_learning_rate_not_found_yet_is_said_to_be_auto(plan):
    plan.loc[plan["phase"] == "finetune", ["lr/body0", "lr/body1", "lr/head"]] = np.nan
    assert "auto: not\nfound yet" in words(learning_rate_figure(plan))


def without_rates(plan, phase):
    """Return a plan in which a phase's rates are not found yet."""
    rates = ["lr/body0", "lr/body1", "lr/head"]
    return plan.assign(**{rate: plan[rate].where(plan["phase"] != phase) for rate in rates})


def dashed(figure):
    return [
        each for each in figure.axes[0].lines if each.get_linestyle() == "--" and len(each.get_xdata()) > 2
    ]


def test_a_learning_rate_not_found_yet_is_drawn_as_its_shape_at_the_height_of_the_known_ones(plan):
    figure = learning_rate_figure(without_rates(plan, "finetune"), plan.replace({"lr/head": 5e-3}))
    heights = [each.get_ydata() for each in dashed(figure)]
    known = plan[plan["phase"] != "finetune"]["lr/head"].max()
    assert np.nanmax(heights) == pytest.approx(known)
    assert "auto: shape only,\nnot found yet" in words(figure)


def test_the_shape_keeps_the_ratios_between_the_groups_and_names_no_group_twice(plan):
    figure = learning_rate_figure(without_rates(plan, "finetune"), plan)
    body, head = (np.nanmax(dashed(figure)[group].get_ydata()) for group in (1, 2))
    found = plan[plan["phase"] == "finetune"]
    assert head / body == pytest.approx(found["lr/head"].max() / found["lr/body1"].max())
    assert figure.axes[0].get_legend_handles_labels()[1] == ["body0", "body1", "head"]


def test_where_no_rate_is_known_the_axis_says_that_they_are_relative(plan):
    unknown = plan.assign(**dict.fromkeys(["lr/body0", "lr/body1", "lr/head"], np.nan))
    figure = learning_rate_figure(unknown, plan)
    assert figure.axes[0].get_ylabel() == "relative learning rate"
    assert np.nanmax([each.get_ydata() for each in dashed(figure)]) == 1


def test_with_every_rate_found_nothing_is_dashed(plan):
    assert dashed(learning_rate_figure(plan, plan)) == []


def test_a_plan_without_any_learning_rate_is_drawn(plan):
    plan[["lr/body0", "lr/body1", "lr/head"]] = np.nan
    assert svg_bytes(learning_rate_figure(plan))


def test_the_losses_are_drawn_as_they_are(metrics):
    assert np.array_equal(line(loss_figure(metrics), "validation").get_ydata(), metrics["val/loss"])


def test_a_run_without_validation_has_one_loss(metrics):
    axes = loss_figure(metrics.drop(columns=["val/loss"])).axes[0]
    assert axes.get_legend_handles_labels()[1] == ["training"]


def test_tta_is_drawn_where_it_was_measured(metrics):
    assert line(accuracy_figure(metrics), "with TTA").get_xdata().tolist() == [1, 4, 7]


def test_the_suggestion_is_written_into_the_search():
    assert words(lr_find_figure(CURVE, 1.2e-3)) == ["1.2e-3 (valley)"]


def test_a_search_without_suggestion_says_why():
    assert words(lr_find_figure(CURVE, None, reason="it cost $5 & $6")) == ["No suggestion: it cost $5 & $6"]


def test_an_exploding_loss_does_not_set_the_scale_of_a_search():
    curve = CURVE.assign(smoothed=np.append(CURVE["smoothed"][:-2], [1e9, np.inf]))
    assert lr_find_figure(curve, None).axes[0].get_ylim()[1] < 5


@pytest.mark.parametrize(("num_classes", "numbers"), [(2, 2), (6, 6), (25, 25), (26, 0), (120, 0)])
def test_counts_are_written_into_the_cells_up_to_25_classes(num_classes, numbers):
    names = [f"class {index}" for index in range(num_classes)]
    assert len(words(confusion_figure(np.eye(num_classes, dtype=int), names))) == numbers


@pytest.mark.parametrize("num_classes", [2, 6, 120, 400])
def test_a_confusion_matrix_is_never_wider_than_the_report(num_classes):
    figure = confusion_figure(np.eye(num_classes, dtype=int), ["a class with a very long name"] * num_classes)
    assert figure.get_size_inches()[0] <= 10.8 + 1e-9


def test_names_in_a_confusion_matrix_do_not_overlap():
    figure = confusion_figure(np.eye(120, dtype=int), [f"a class name {index:03d}" for index in range(120)])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    box = axes.get_window_extent()
    for length, labels in ((box.height, axes.get_yticklabels()), (box.width, axes.get_xticklabels())):
        assert len(labels) in (60, 120)
        assert 72 * length / figure.dpi / len(labels) >= labels[0].get_fontsize()


def test_names_are_drawn_as_written_without_mathematics():
    content = svg_bytes(confusion_figure(np.eye(2, dtype=int), ["$x_1$ & $y$", "<b>犬"])).decode()
    assert "$x_1$ &amp; $y$" in content
    assert "&lt;b&gt;犬" in content


def test_a_name_to_draw_is_short_and_printable():
    assert plain("a\nb\x01" + "c" * 50, 6) == "a b c…"


def test_the_same_figure_gives_the_same_bytes(metrics):
    assert svg_bytes(loss_figure(metrics)) == svg_bytes(loss_figure(metrics))


def test_a_figure_is_saved_as_png(tmp_path, metrics):
    save_figure(loss_figure(metrics), tmp_path / "plots" / "loss.png")
    with Image.open(tmp_path / "plots" / "loss.png") as picture:
        assert picture.format == "PNG"


def test_the_floor_loads_neither_pyplot_nor_torch():
    names = [f"imageclf.analysis.{each.name}" for each in pkgutil.iter_modules(analysis.__path__)]
    assert len(names) > 10
    code = f"import sys, {', '.join(names)}; print({{'torch', 'matplotlib.pyplot'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
