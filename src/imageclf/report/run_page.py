"""The report of one run."""

from dataclasses import dataclass
from pathlib import Path

from imageclf.analysis.confusion import confusion_matrix, most_confused
from imageclf.analysis.predictions_csv import label_indices, probabilities_of
from imageclf.analysis.run_files import RunFiles, read_run
from imageclf.analysis.scores import accuracy, log_loss
from imageclf.report.galleries import Gallery, common_folder, prediction_galleries
from imageclf.report.page import Plot, render_page, svg_plot
from imageclf.report.plots.confusion_plot import confusion_figure
from imageclf.report.plots.curves import accuracy_figure, learning_rate_figure, loss_figure
from imageclf.report.plots.lr_find_plot import lr_find_figure
from imageclf.report.reported import candidate_rows, reported_model
from imageclf.report.run_numbers import (
    ClassRow,
    class_rows,
    fit_rows,
    headline_cards,
    machine_line,
    phase_rows,
)
from imageclf.system.files import write_bytes


@dataclass(frozen=True)
class Validation:
    """How the labelled validation pictures were classified."""

    pictures: int
    accuracy: float
    loss: float
    confusion: Plot
    confused: list[tuple[str, str, int]]
    classes: list[ClassRow]


def write_report(run_dir: Path, pictures: Path | None = None) -> Path:
    """Write `report.html` from the files of a run directory and return its path.

    A missing file leaves its section out; a picture that cannot be read becomes a grey tile with its name.
    Relative paths in predictions/valid.csv start at `pictures`, by default the working directory.

    Raises:
        InputError: the directory is not that of a run, or a file in it is damaged.
    """
    run = read_run(run_dir)
    model = reported_model(run.summary, run.candidates)
    page = render_page(
        "run_page.html.j2",
        run=run,
        machine=machine_line(run.summary),
        cards=headline_cards(run.summary, model),
        model=model,
        candidates=candidate_rows(run.summary, run.candidates, model),
        phases=phase_rows(run.metrics, len(run.predictions)),
        rates=_rates(run),
        curves=_curves(run),
        fits=fit_rows(run.metrics, len(run.classes)),
        searches=_searches(run),
        validation=_validation(run),
        galleries=_galleries(run, pictures or Path.cwd()),
        folder=common_folder(list(run.predictions.get("path", []))),
    )
    target = run_dir / "report.html"
    write_bytes(target, page)
    return target


def _rates(run: RunFiles) -> Plot | None:
    if run.plan.empty:
        return None
    return svg_plot(
        learning_rate_figure(run.plan), "Learning rate of each layer group over the training steps"
    )


def _curves(run: RunFiles) -> list[tuple[str, Plot]]:
    if run.metrics.empty:
        return []
    curves = [("Loss", svg_plot(loss_figure(run.metrics), "Losses over the epochs"))]
    if "val/acc" in run.metrics and run.metrics["val/acc"].notna().any():
        figure = accuracy_figure(run.metrics)
        curves.append(("Validation accuracy", svg_plot(figure, "Validation accuracy over the epochs")))
    return curves


def _searches(run: RunFiles) -> list[tuple[str, Plot]]:
    plots = []
    for search in run.searches:
        figure = lr_find_figure(search.curve, search.suggestion, search.method, search.reason)
        description = f"Loss over the learning rate before the phase {search.phase}"
        plots.append((search.phase, svg_plot(figure, description)))
    return plots


def _validation(run: RunFiles) -> Validation | None:
    labelled = run.predictions[run.predictions["label"] != ""] if len(run.predictions) else run.predictions
    if labelled.empty:
        return None
    probabilities, labels = probabilities_of(labelled, run.classes), label_indices(labelled, run.classes)
    # From the probabilities, so that matrix, scores and tiles agree.
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(run.classes))
    return Validation(
        pictures=len(labelled),
        accuracy=accuracy(probabilities, labels),
        loss=log_loss(probabilities, labels),
        confusion=svg_plot(confusion_figure(matrix, run.classes), "Confusion matrix"),
        confused=most_confused(matrix, run.classes)[:20],
        classes=class_rows(matrix, run.classes),
    )


def _galleries(run: RunFiles, root: Path) -> list[Gallery]:
    table = run.predictions
    if table.empty:
        return []
    probabilities, labels = probabilities_of(table, run.classes), label_indices(table, run.classes)
    return prediction_galleries(table, probabilities, labels, root)
