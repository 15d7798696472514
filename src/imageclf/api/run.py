"""A finished run, ready to predict."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import nn

from imageclf import InputError
from imageclf.analysis.predictions_csv import read_predictions
from imageclf.api.calling import process_as_found
from imageclf.api.network import Ensemble, Transform
from imageclf.api.page import Page
from imageclf.api.pictures import AnyPath, InMemory, Pictures, listed
from imageclf.api.prediction import Prediction
from imageclf.callbacks.always.summary import predictions_of
from imageclf.commands.export import load_trained
from imageclf.commands.predict import decided_by, predict_table, readable
from imageclf.commands.predict_options import PredictOptions
from imageclf.configs import Plain, Trust
from imageclf.configs.plain import defaults_of
from imageclf.configs.saved.numbers import read_metrics, read_summary
from imageclf.data.pictures.arrays import shown
from imageclf.data.sources.unlabelled import table_to_predict, unlabelled_table
from imageclf.data.views.viewing import Viewing
from imageclf.evaluation.tta_presets import Preset
from imageclf.report.notebook import SHOWN, run_html
from imageclf.system.printable import printable
from imageclf.tasks import Task
from imageclf.training.check_keys import check
from imageclf.training.closing import result_rows
from imageclf.training.trained import (
    BuiltRun,
    TrainedRun,
    augmentation_of,
    build_trained,
    finished,
    read_trained,
)


def load(run: AnyPath, weights: str = "best", trust: Trust = ()) -> "Run":
    """Open a finished run.

    Args:
        run: its directory.
        weights: best, which is the model that the run reports; final, average, average_bn, soup, soup_bn,
            ensemble, ema, or a snapshot PHASE-CYCLE.
        trust: modules whose classes the run's config.yaml may name besides those of this package and the
            libraries that it uses, such as `["mine"]`; all: any. A run directory runs no code of its own.

    Raises:
        InputError: no finished run is there, it has no such weights, or its config names code that is not
            trusted.
    """
    # The program may go to another folder.
    run_dir = finished(run).absolute()
    return Run(run_dir, weights, trust, read_trained(run_dir, weights, trust))


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A finished run; `imageclf.load` opens one, and `imageclf.train` returns one.

    Args:
        dir: its directory.
        weights: as given to `load`.
        trust: as given to `load`.
        trained: what was read of the directory.
    """

    dir: Path
    weights: str
    trust: Trust
    trained: TrainedRun

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.trained.classes

    @cached_property
    def summary(self) -> Mapping[str, Any]:
        """The scores and facts in summary.json, such as `model/acc`."""
        return read_summary(self.dir)

    @property
    def report(self) -> Page:
        """The report, which a notebook shows in place.

        Raises:
            InputError: the run was trained without one.
        """
        path = self.dir / "report.html"
        if not path.is_file():
            raise InputError(f"{self.dir} has no report.html: the run was trained without callbacks.report")
        return Page(path)

    @cached_property
    def model(self) -> nn.Module:
        """The network on the CPU, in eval mode: uint8 pictures `[B, 3, H, W]` to logits `[B, C]`.

        With `data.channels` and `data.bits` they have these channels, and are uint16 with 16 bits.

        `run.model(run.transform(picture)[None]).softmax(1)` are the probabilities that `predict` returns, and
        `.sigmoid()` with several labels. For an ensemble the values are such that this holds, too.
        """
        with process_as_found():
            models, _ = load_trained(self.trained)
        return models[0] if len(models) == 1 else Ensemble(models, self.trained.task).eval()

    @cached_property
    def transform(self) -> Transform:
        """From a picture to the tensor that `model` takes, uint8 `[3, H, W]`."""
        augmentation = augmentation_of(self.trained, self.dir, self.trust, is_drawn=False)
        resize, crop_pct = self.trained.resize, self._built.expects.crop_pct
        viewing = Viewing(augmentation, resize, crop_pct, self.trained.seed)
        return Transform(viewing, self.trained.size, self.trained.pixels)

    @property
    def validation(self) -> Prediction:
        """What the run predicted of its validation pictures, with their true classes.

        Raises:
            InputError: no picture was held out, or other weights were loaded than the run reports: those
                predictions were not kept.
        """
        reported = str(self.summary.get("model", "final"))
        if self.weights not in ("best", reported):
            raise InputError(
                f"weights={self.weights}: {self.dir} keeps the validation predictions of the model that it "
                f"reports, which is {reported}: load it with weights='best', or predict the pictures"
            )
        path = self.dir / "predictions" / "valid.csv"
        if not path.exists():
            raise InputError(f"{self.dir} has no predictions of validation pictures: none was held out")
        task = self.trained.task
        table = read_predictions(path, self.classes, are_numbers=not task.kind.has_accuracy)
        return Prediction(table, self.classes, task=task)

    def most_wrong(self, n: int = SHOWN) -> Prediction:
        """Return the n validation pictures that were most confidently taken for a wrong class, worst first.

        With several labels: whose labels were most confidently missed or invented, the worst picture of each
        label before the second of any.

        Raises:
            InputError: as `validation`.
        """
        task = self.trained.task
        task.refuse("Run.most_wrong")
        found = self.validation
        rows = list(dict.fromkeys(each.row for each in task.most_wrong(found.table, self.classes, None)))[:n]
        table = found.table.iloc[rows].reset_index(drop=True)
        return Prediction(table, self.classes, task=task)

    def predict(
        self,
        pictures: Pictures,
        *,
        thresholds: AnyPath | None = None,
        tta: Preset | None = None,
        num_augmented: int | None = None,
        beta: float | None = None,
        batch_size: int | None = None,
        num_workers: int | Literal["auto"] | None = None,
        on_error: Literal["skip", "raise"] | None = None,
        column: str | None = None,
        precision: str | None = None,
    ) -> Prediction:
        """Predict pictures, as imageclf-predict does with the same options; None is the command's default.

        Args:
            pictures: a path of a picture, of a folder of them at any depth or of a CSV of paths, a PIL image,
                an array, or several of either kind; each file once. An array is uint8 `[H, W, 3]`, or another
                that `PIL.Image.fromarray` takes, or has the channels of the run, and one of four dimensions
                is as many pictures. A large JPEG file is decoded at a fraction of its size, which its pixels
                in memory are not: their probabilities are only nearly the same.
            thresholds: thresholds.json of imageclf-collect, by which several labels are decided.
            tta: views of test-time augmentation: fastai07, fastai2, fastai1 or five_crops.
            num_augmented: views besides the picture itself, of fastai07 and fastai2.
            beta: weight of the picture itself, 0 to 1.
            batch_size: pictures at once.
            num_workers: processes that read files.
            on_error: a file that cannot be read: skip, and list it in `skipped`, or raise.
            column: of a CSV, the one with the paths.
            precision: of the arithmetic, as `trainer.precision`.

        Raises:
            InputError: an option is not legal, or there is no picture that can be read.
        """
        paths, images = listed(pictures)
        chosen = {"tta": tta, "num_augmented": num_augmented, "beta": beta, "column": column}
        chosen |= {"batch_size": batch_size, "num_workers": num_workers, "on_error": on_error}
        chosen |= {"precision": precision, "thresholds": None if thresholds is None else str(thresholds)}
        options = _options(self, paths, chosen)
        task = decided_by(options.thresholds, self.trained.task, self.classes)
        with process_as_found():
            if paths:
                return self._predict_files(paths, options, task)
            return self._predict_images(images, options, task)

    def _predict_files(self, paths: list[str], options: PredictOptions, task: Task) -> Prediction:
        given = unlabelled_table(paths, self.classes, options.column)
        table, skipped = readable(replace(given, pixels=self.trained.pixels), options.on_error)
        predictions = predict_table(self._built, table, options)._replace(task=task)
        return Prediction(predictions_of(table, predictions), self.classes, skipped, task=task)

    def _predict_images(self, images: list[InMemory], options: PredictOptions, task: Task) -> Prediction:
        shrunk = [self.transform.read(image) for image in images]
        # Pictures in memory have no path, and are numbered from 0.
        table = table_to_predict([str(row) for row in range(len(shrunk))], [""] * len(shrunk), self.classes)
        predictions = predict_table(self._built, table, options, shrunk)._replace(task=task)
        thumbnails = [shown(each.pixels) for each in shrunk[:SHOWN]]
        found = predictions_of(table, predictions)
        return Prediction(found, self.classes, thumbnails=thumbnails, task=task)

    @cached_property
    def _built(self) -> BuiltRun:
        with process_as_found():
            return BuiltRun(self.dir, self.trained, *build_trained(self.trained))

    def __repr__(self) -> str:
        weights = "" if self.weights == "best" else f", weights={self.weights!r}"
        scores = dict(result_rows(self.summary))
        return printable(f"<Run {self.dir}{weights}: accuracy {scores['accuracy']}>")

    def _repr_html_(self) -> str:
        return run_html(f"Run {self.dir}", result_rows(self.summary), read_metrics(self.dir / "metrics.csv"))


def _options(run: Run, paths: list[str], chosen: Plain) -> PredictOptions:
    """Return the options of a call; what is not chosen is as in the command's YAML.

    Raises:
        InputError: one is not legal.
    """
    given = {name: value for name, value in chosen.items() if value is not None}
    own = {"run": str(run.dir), "data": paths, "weights": run.weights, "trust": run.trust}
    plain = defaults_of("commands/predict") | own | given
    check(plain, PredictOptions)
    return PredictOptions(**plain)
