"""Write a finished run in a form that needs none of this package."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import DictConfig
from safetensors.torch import save_file

from imageclf import InputError
from imageclf.model import DataConfig, ImageClassifier
from imageclf.model.export.onnx_file import Input, write_onnx
from imageclf.model.export.timm_folder import to_timm
from imageclf.model.weights.saved import load_into
from imageclf.system.files import write_atomically
from imageclf.system.printable import show
from imageclf.training.check_keys import checked
from imageclf.training.trained import TrainedRun, build_trained, read_trained


@dataclass(frozen=True)
class ExportOptions:
    """What imageclf-export takes.

    Args:
        run: directory of a finished run.
        format: timm: a folder for stock timm; onnx: one file for onnxruntime.
        weights: as in imageclf-predict.
        input: values of the pictures that an ONNX file takes: uint8, 0 to 255, or float, 0 to 1.
        output: folder; None: `export/FORMAT` in the run directory.
        trust: as in imageclf-predict.
    """

    run: str
    format: Literal["timm", "onnx"]
    weights: str
    input: Input
    output: str | None
    trust: str | Sequence[str] = ()


class Trained(NamedTuple):
    """What a run has trained.

    Args:
        models: one, or the members of an ensemble.
        classes: in class order.
        expects: what the weights expect of a picture.
        size: pixels a side of the last phase.
    """

    models: Sequence[ImageClassifier]
    classes: tuple[str, ...]
    expects: DataConfig
    size: int


def run(cfg: DictConfig, folder: Path) -> None:
    """Write the folder, and print where it is."""
    show(export(checked(cfg, ExportOptions)))


def export(options: ExportOptions) -> Path:
    """Write a folder with weights, config and README.md, and return it.

    Raises:
        InputError: the run is not finished, has no such weights, or they cannot be written so.
    """
    run_dir = Path(options.run).expanduser()
    if not (run_dir / "summary.json").exists():
        raise InputError(f"run={options.run}: no finished run is there (summary.json is missing)")
    folder = Path(options.output).expanduser() if options.output else run_dir / "export" / options.format
    run = read_trained(run_dir, options.weights, options.trust)
    write = _write_timm if options.format == "timm" else _write_onnx
    write(load_trained(run), run, options, folder)
    return folder


def load_trained(run: TrainedRun) -> Trained:
    """Return the classifiers of a run's files of weights, in eval mode on the CPU."""
    models = []
    for file in run.files:
        module, expects = build_trained(run)
        load_into(module.model, file)
        models.append(module.model.eval())
    return Trained(models, run.classes, expects, run.size)


def _write_timm(trained: Trained, run: TrainedRun, options: ExportOptions, folder: Path) -> None:
    if len(trained.models) > 1:
        raise InputError(
            f"weights={options.weights} is an ensemble of {len(trained.models)} networks, and format=timm "
            "holds one: give weights=soup, average or final, or format=onnx"
        )
    written = to_timm(
        trained.models[0], run.backbone, trained.classes, trained.expects, trained.size, run.resize
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "model.safetensors", lambda path: save_file(written.state, path))
    if written.head:
        write_atomically(folder / "head.safetensors", lambda path: save_file(written.head_state, path))
    _write_json(folder / "config.json", written.config)
    _write_readme(folder, "timm", run, trained, head=written.head)


def _write_onnx(trained: Trained, run: TrainedRun, options: ExportOptions, folder: Path) -> None:
    about = {
        "classes": list(trained.classes),
        "size": trained.size,
        "input": options.input,
        "resize": run.resize,
        **asdict(trained.expects),
    }
    write_atomically(
        folder / "model.onnx",
        lambda path: write_onnx(trained.models, path, trained.size, options.input, about),
    )
    _write_json(folder / "config.json", about)
    _write_readme(folder, "onnx", run, trained, input=options.input)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _write_readme(folder: Path, form: str, run: TrainedRun, trained: Trained, **values: str) -> None:
    environment = Environment(
        loader=PackageLoader("imageclf.model.export", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,
    )
    template = environment.get_template(f"export_{form}.md.j2")
    text = template.render(backbone=run.backbone, resize=run.resize, trained=trained, **values)
    write_atomically(folder / "README.md", lambda path: path.write_text(text + "\n", encoding="utf-8"))
