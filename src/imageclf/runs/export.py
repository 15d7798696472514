"""Write a finished run in a form that needs none of this package."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from safetensors.torch import save_file

from imageclf import InputError
from imageclf.callbacks.files import write_atomically
from imageclf.configs import load_config
from imageclf.model import DataConfig, ImageClassifier
from imageclf.model.onnx_file import Input, write_onnx
from imageclf.model.timm_folder import to_timm
from imageclf.runs.build import build_module
from imageclf.runs.candidates import candidate_files
from imageclf.runs.directory import read_summary
from imageclf.runs.inference import classes_of
from imageclf.schedule import Schedule


@dataclass(frozen=True)
class ExportOptions:
    """What imageclf-export takes.

    Args:
        run: directory of a finished run.
        format: timm: a folder for stock timm; onnx: one file for onnxruntime.
        weights: as in imageclf-predict.
        input: values of the pictures that an ONNX file takes: uint8, 0 to 255, or float, 0 to 1.
        output: folder; None: `export/FORMAT` in the run directory.
    """

    run: str
    format: Literal["timm", "onnx"]
    weights: str
    input: Input
    output: str | None


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


def export(options: ExportOptions) -> Path:
    """Write a folder with weights, config and README.md, and return it.

    Raises:
        InputError: the run is not finished, has no such weights, or they cannot be written so.
    """
    run_dir = Path(options.run).expanduser()
    if not (run_dir / "summary.json").exists():
        raise InputError(f"run={options.run}: no finished run is there (summary.json is missing)")
    config = load_config(run_dir / "config.yaml")
    folder = Path(options.output).expanduser() if options.output else run_dir / "export" / options.format
    size = read_summary(run_dir)["size"]
    trained = load_trained(config, candidate_files(run_dir, options.weights), size)
    write = _write_timm if options.format == "timm" else _write_onnx
    write(trained, config, options, folder)
    return folder


def load_trained(config: dict[str, Any], files: Sequence[Path], size: int) -> Trained:
    """Return the classifiers of files of weights, in eval mode on the CPU.

    Args:
        config: of the run.
        files: of weights.
        size: pixels a side that the run has ended with.
    """
    # The weights come from the run: neither a hub nor a package is needed.
    node = {**config["model"], "weights": "none", "class_weights": "none"}
    schedule = Schedule.from_plain(config["schedule"]["phases"])
    all_sizes, classes = schedule.sizes(config["data"]["size"]), classes_of(files[0])
    models = []
    for file in files:
        module, expects = build_module(node, dict.fromkeys(classes, 1), all_sizes)
        content = torch.load(file, map_location="cpu", weights_only=True)
        module.model.load_state_dict(content["state_dict"])
        models.append(module.model.eval())
    return Trained(models, classes, expects, size)


def _write_timm(trained: Trained, config: dict[str, Any], options: ExportOptions, folder: Path) -> None:
    if len(trained.models) > 1:
        raise InputError(
            f"weights={options.weights} is an ensemble of {len(trained.models)} networks, and format=timm "
            "holds one: give weights=soup, average or final, or format=onnx"
        )
    name, resize = config["model"]["backbone"], config["data"]["resize"]
    written = to_timm(trained.models[0], name, trained.classes, trained.expects, trained.size, resize)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "model.safetensors", lambda path: save_file(written.state, path))
    if written.head:
        write_atomically(folder / "head.safetensors", lambda path: save_file(written.head_state, path))
    _write_json(folder / "config.json", written.config)
    _write_readme(folder, "timm", config, trained, head=written.head)


def _write_onnx(trained: Trained, config: dict[str, Any], options: ExportOptions, folder: Path) -> None:
    about = {
        "classes": list(trained.classes),
        "size": trained.size,
        "input": options.input,
        "resize": config["data"]["resize"],
        **asdict(trained.expects),
    }
    write_atomically(
        folder / "model.onnx",
        lambda path: write_onnx(trained.models, path, trained.size, options.input, about),
    )
    _write_json(folder / "config.json", about)
    _write_readme(folder, "onnx", config, trained, input=options.input)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _write_readme(folder: Path, form: str, config: dict[str, Any], trained: Trained, **values: str) -> None:
    environment = Environment(
        loader=PackageLoader("imageclf.runs", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,
    )
    template = environment.get_template(f"export_{form}.md.j2")
    text = template.render(
        backbone=config["model"]["backbone"], resize=config["data"]["resize"], trained=trained, **values
    )
    write_atomically(folder / "README.md", lambda path: path.write_text(text + "\n", encoding="utf-8"))
