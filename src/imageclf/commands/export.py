"""Write a finished run in a format that does not need this package."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import DictConfig
from safetensors.torch import save_file

from imageclf import InputError
from imageclf.commands.predict import decided_by
from imageclf.commands.web_export import VERSION, write_page
from imageclf.configs import Trust
from imageclf.configs.plain import select
from imageclf.configs.saved.numbers import read_summary
from imageclf.data.views.geometry import stored_side
from imageclf.model.backbone import DataConfig
from imageclf.model.classifier import ImageClassifier
from imageclf.model.export.onnx_file import Input, write_onnx
from imageclf.model.export.timm_folder import to_timm
from imageclf.model.weights.files import load_into
from imageclf.model.weights.pretrained import licence_of
from imageclf.report.model_card import model_card, origin_of
from imageclf.report.run_files import read_candidates
from imageclf.schedule.size import edges
from imageclf.system.files import write_atomically, write_json, write_text
from imageclf.system.printable import show
from imageclf.training.check_keys import checked
from imageclf.training.trained import TrainedRun, augmentation_of, build_trained, finished, read_trained

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExportOptions:
    """What imageclf-export takes.

    conf/commands/export.yaml explains each key.
    """

    run: str
    format: Literal["timm", "onnx", "web"]
    weights: str
    input: Input
    output: str | None
    runtime: str | None = None
    thresholds: str | None = None
    trust: str | Sequence[str] = ()


@dataclass(frozen=True)
class Exported:
    """A trained model as it is written.

    Args:
        models: classifiers of the same classes, whose probabilities are averaged.
        expects: what they expect of a picture.
        prepare: options of `prepare` in prepare.py, with which it does what imageclf-predict does.
    """

    run: TrainedRun
    models: Sequence[ImageClassifier]
    expects: DataConfig
    prepare: dict[str, Any]


def run(cfg: DictConfig, folder: Path) -> None:
    """Write the folder, and print where it is."""
    show(export(checked(cfg, ExportOptions)))


def export(options: ExportOptions) -> Path:
    """Write a folder with weights, config, README.md and prepare.py, and return it.

    Raises:
        InputError: the run is not finished, has no such weights, or they do not fit the format.
    """
    run_dir = finished(options.run)
    folder = Path(options.output).expanduser() if options.output else run_dir / "export" / options.format
    run = read_trained(run_dir, options.weights, options.trust)
    run = run._replace(task=decided_by(options.thresholds, run.task, run.classes))
    log.info("writing the export for %s, which may take a minute", options.format)
    models, expects = load_trained(run)
    exported = Exported(run, models, expects, preparation(run, run_dir, expects, options.trust))
    write = {"timm": _write_timm, "onnx": _write_onnx, "web": _write_web}[options.format]
    readme = write(exported, options, folder)
    write_text(folder / "README.md", f"{readme}\n\n{card(run, run_dir, options.weights)}\n")
    write_text(folder / "prepare.py", files("imageclf.model.export").joinpath("prepare.py").read_text())
    return folder


def card(run: TrainedRun, run_dir: Path, weights: str) -> str:
    """Return what to know of the exported model, as Markdown."""
    summary = read_summary(run_dir)
    name = summary.get("model") if weights == "best" else weights
    exported = next((each for each in read_candidates(run_dir) if each.name == name), None)
    origin = origin_of(select(run.config, "model.weights"), run.network, licence_of(run.network))
    return model_card(run.classes, summary, exported, run.network, origin)


def preparation(run: TrainedRun, run_dir: Path, expects: DataConfig, trust: Trust) -> dict[str, Any]:
    """Return the options of `prepare` in prepare.py; see `Exported`."""
    max_zoom = augmentation_of(run, run_dir, trust, is_drawn=False).max_zoom
    return {
        "size": run.size,
        "side": stored_side(run.size, run.resize, max_zoom, expects.crop_pct),
        "resize": "crop" if run.resize == "random_resized_crop" else run.resize,
        "crop_pct": expects.crop_pct,
        **run.pixels.key,
    }


def load_trained(run: TrainedRun) -> tuple[list[ImageClassifier], DataConfig]:
    """Return the classifiers of a run, in eval mode on the CPU, and what they expect of a picture.

    There are several if the weights are those of an ensemble.
    """
    models = []
    for file in run.files:
        module, expects = build_trained(run)
        load_into(module.model, file)
        models.append(module.model.eval())
    return models, expects


def _write_timm(exported: Exported, options: ExportOptions, folder: Path) -> str:
    run, models = exported.run, exported.models
    if len(models) > 1:
        raise InputError(
            f"weights={options.weights} is an ensemble of {len(models)} networks, and format=timm "
            "holds one: give weights=soup, average or final, or format=onnx"
        )
    if not isinstance(run.backbone, str):
        raise InputError(f"format=timm: {run.network} is not a model of timm; give format=onnx")
    content = to_timm(models[0], run.backbone, run.classes, exported.expects, run.size, run.resize)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "model.safetensors", lambda path: save_file(content.state, path))
    if content.head:
        write_atomically(folder / "head.safetensors", lambda path: save_file(content.head_state, path))
    write_json(folder / "config.json", content.config | {"prepare": exported.prepare} | run.task.facts())
    return _readme("timm", run, head=content.head)


def _write_onnx(exported: Exported, options: ExportOptions, folder: Path) -> str:
    run = exported.run
    about = {
        "classes": list(run.classes),
        "size": run.size,
        "input": options.input,
        "resize": run.resize,
        **asdict(exported.expects),
        "prepare": exported.prepare,
        **run.task.facts(),
    }
    write_atomically(
        folder / "model.onnx",
        lambda path: write_onnx(exported.models, path, run.size, options.input, about, run.task),
    )
    write_json(folder / "config.json", about)
    return _readme("onnx", run, input=options.input)


def _write_web(exported: Exported, options: ExportOptions, folder: Path) -> str:
    run = exported.run
    run.task.refuse("format=web")
    if not run.pixels.takes_jpeg:
        raise InputError(
            f"format=web: a browser decodes pictures to RGB or grey of 8 bits, and the run has {run.pixels}; "
            "give format=onnx"
        )
    readme = _write_onnx(exported, options, folder)
    about = {
        "classes": list(run.classes),
        "input": options.input,
        "prepare": exported.prepare,
        **run.task.facts(),
    }
    write_page(folder, Path(options.run).resolve().name, run.network, about, options.runtime)
    about_page = _readme("web", run, vendored=options.runtime is not None, version=VERSION)
    return f"{about_page}\n\n{readme}"


def _readme(form: str, run: TrainedRun, **values: object) -> str:
    environment = Environment(
        loader=PackageLoader("imageclf.model.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,
    )
    return environment.get_template(f"export_{form}.md.j2").render(run=run, edges=edges(run.size), **values)
