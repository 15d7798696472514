"""The report of one run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from imageclf.analysis.confusion import confusion_matrix, most_confused
from imageclf.analysis.predictions_csv import label_indices, probabilities_of
from imageclf.analysis.scores import Reliability, accuracy, log_loss, reliability, wilson_interval
from imageclf.report.galleries import Gallery, common_folder, label_galleries, prediction_galleries
from imageclf.report.model_pictures import ReportedHeatmaps, TrainingViews, heatmap_tiles
from imageclf.report.page import fluid_plot, percent, render_page, svg_plot
from imageclf.report.plots.calibration_plot import calibration_figure
from imageclf.report.plots.confusion_plot import confusion_figure
from imageclf.report.plots.curves import accuracy_figure, learning_rate_figure, loss_figure
from imageclf.report.plots.lr_find_plot import lr_find_figure
from imageclf.report.reported import (
    ReportedModel,
    augmented_sentence,
    candidate_rows,
    choice_sentence,
    reported_model,
    tested_sentence,
)
from imageclf.report.run_commands import training_command, using_commands
from imageclf.report.run_files import RunFiles, read_run
from imageclf.report.run_numbers import (
    ClassRow,
    class_rows,
    fit_rows,
    headline_cards,
    machine_line,
    phase_rows,
)
from imageclf.report.sections.labels import labels_of
from imageclf.report.sections.numbers import numbers_of
from imageclf.system.files import write_bytes

# Up to so many classes a confusion matrix is a table, in which a number can be read and copied.
_MOST_CELLS = 12


@dataclass(frozen=True)
class Validation:
    """How the labelled validation pictures were classified; `matrix` is `[C, C]` with the truth in rows."""

    pictures: int
    mistakes: int
    loss: float
    matrix: NDArray[np.int64]
    confusion: Markup | None
    confused: list[tuple[str, str, int]]
    classes: list[ClassRow]
    reliability: Reliability
    calibration: Markup


def write_report(
    run_dir: Path, views: TrainingViews | None = None, heatmaps: ReportedHeatmaps | None = None
) -> Path:
    """Write `report.html` from the files of a run directory and return its path.

    A missing file leaves its section out; a picture that cannot be read becomes a grey tile with its name.

    Args:
        run_dir: of the run.
        views: of the training pictures, which only the end of a training can show.
        heatmaps: likewise, of the validation pictures.

    Raises:
        InputError: the directory is not that of a run, or a file in it is damaged.
    """
    run = read_run(run_dir)
    validation = None if run.has_labels or run.has_numbers else _validation(run)
    folder = common_folder(list(run.predictions.get("path", [])))
    named = reported_model(run.summary, run.candidates)
    model = named or _final_model(validation)
    page = render_page(
        "run_page.html.j2",
        run=run,
        machine=machine_line(run.summary),
        cards=headline_cards(run.summary, named),
        model=model,
        named=named is not None,
        candidates=candidate_rows(run.candidates, model),
        choice=choice_sentence(run.summary),
        tested=tested_sentence(run.summary),
        augmented=augmented_sentence(run.summary, model.pictures) if model else "",
        phases=phase_rows(run.metrics, len(run.predictions)),
        rates=_rates(run),
        curves=_curves(run),
        fits=fit_rows(run.metrics, run.task.answers(len(run.classes))),
        searches=_searches(run),
        validation=validation,
        labels=labels_of(run) if run.has_labels and len(run.predictions) else None,
        numbers=numbers_of(run, folder),
        galleries=_galleries(run),
        folder=folder,
        views=views,
        heatmaps=heatmap_tiles(heatmaps, run.predictions) if heatmaps else [],
        is_member=heatmaps is not None and heatmaps.is_member,
        training=None if run.overrides is None else training_command(run.overrides),
        commands=using_commands(run_dir.resolve(), run.modules),
    )
    target = run_dir / "report.html"
    write_bytes(target, page)
    return target


def _final_model(validation: Validation | None) -> ReportedModel | None:
    """Return the model of a run of an earlier version: its predictions are by the final weights."""
    if validation is None:
        return None
    right, pictures = validation.pictures - validation.mistakes, validation.pictures
    return ReportedModel(
        "final",
        "the final weights",
        right / pictures,
        *wilson_interval(right, pictures),
        validation.loss,
        pictures,
    )


def _rates(run: RunFiles) -> Markup | None:
    words = "Learning rate of each layer group over the training steps"
    draw = partial(learning_rate_figure, run.plan, None)
    return None if run.plan.empty else fluid_plot(draw, words)


def _curves(run: RunFiles) -> list[tuple[str, Markup]]:
    if run.metrics.empty:
        return []
    curves = [("Loss", svg_plot(loss_figure(run.metrics), "Losses over the epochs"))]
    if "val/acc" in run.metrics and run.metrics["val/acc"].notna().any():
        figure = accuracy_figure(run.metrics)
        curves.append(("Validation accuracy", svg_plot(figure, "Validation accuracy over the epochs")))
    return curves


def _searches(run: RunFiles) -> list[tuple[str, Markup]]:
    plots = []
    for phase, curve, suggestion, method, reason in run.searches:
        figure = lr_find_figure(curve, suggestion, method, reason)
        plots.append((phase, svg_plot(figure, f"Loss over the learning rate before the phase {phase}")))
    return plots


def _validation(run: RunFiles) -> Validation | None:
    labelled = run.labelled
    if labelled.empty:
        return None
    probabilities, labels = probabilities_of(labelled, run.classes), label_indices(labelled, run.classes)
    # From the probabilities, so that matrix, scores and tiles agree.
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(run.classes))
    found = reliability(probabilities, labels)
    return Validation(
        pictures=len(labelled),
        mistakes=len(labelled) - round(accuracy(probabilities, labels) * len(labelled)),
        loss=log_loss(probabilities, labels),
        matrix=matrix,
        confusion=_confusion(matrix, run.classes),
        confused=most_confused(matrix, run.classes)[:20],
        classes=class_rows(matrix, run.classes),
        reliability=found,
        calibration=svg_plot(calibration_figure(found), _reliability_words(found)),
    )


def _confusion(matrix: NDArray[np.int64], classes: Sequence[str]) -> Markup | None:
    if len(classes) <= _MOST_CELLS:
        return None
    words = f"Confusion matrix of {len(classes)} classes; its largest mistakes are listed below"
    return fluid_plot(partial(confusion_figure, matrix, classes), words)


def _reliability_words(found: Reliability) -> str:
    bins = zip(*found, strict=True)
    said = (f"{count} sure by {percent(sure)}, {percent(right)} right" for sure, right, count in bins)
    return f"Pictures by the probability of their prediction: {'; '.join(said)}"


def _galleries(run: RunFiles) -> list[Gallery]:
    table = run.predictions
    if table.empty or run.has_numbers:
        return []
    if run.has_labels:
        return label_galleries(table, run.classes)
    probabilities = probabilities_of(table, run.classes)
    return prediction_galleries(table, probabilities, label_indices(table, run.classes))
