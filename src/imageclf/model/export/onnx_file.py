"""One trained classifier or several as an ONNX file: pictures to probabilities."""

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from imageclf import InputError
from imageclf.model.classifier import ImageClassifier
from imageclf.schedule.size import PictureSize, edges
from imageclf.tasks import MULTICLASS, Task

Input = Literal["uint8", "float"]


class Probabilities(nn.Module):
    """Pictures `[B, C, H, W]` to probabilities `[B, C]`, the mean over classifiers of the same classes.

    Values are multiplied by `scale`: 1 for whole numbers; for 0 to 1 the largest of these.
    """

    def __init__(self, models: Sequence[ImageClassifier], scale: float, task: Task) -> None:
        super().__init__()
        self._task = task
        self.models = nn.ModuleList(models)
        self._scale = scale

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the probabilities of pictures that are not normalised."""
        # The classifier itself divides by the largest value.
        scaled = pictures.float() * self._scale
        each = torch.stack([self._task.probabilities(model(scaled)) for model in self.models])
        return each.mean(0)


def write_onnx(
    models: Sequence[ImageClassifier],
    path: Path,
    size: PictureSize,
    input_type: Input,
    metadata: Mapping[str, object],
    task: Task = MULTICLASS,
) -> None:
    """Write an ONNX file with the input `pictures` and the output that the task names, for any batch size.

    Args:
        models: of the same classes; the file holds all of them.
        path: of the file.
        size: of the pictures.
        input_type: uint8: pictures as they are, which with 16 bits is uint16; float: from 0 to 1.
        metadata: JSON values by name, stored in the file.
        task: what a label is.

    Raises:
        InputError: ONNX is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError("format=onnx needs the package onnx: pip install 'imageclf[export]'") from error
    # ONNX has no strides such as channels-last.
    plain = [model.to(memory_format=torch.contiguous_format) for model in models]
    scale, dtype = (1.0, plain[0].dtype) if input_type == "uint8" else (float(plain[0].top), torch.float32)
    network = Probabilities(plain, scale, task).eval()
    # Two pictures: torch would take a batch of one for a fixed batch size.
    example = torch.zeros(2, plain[0].channels, *edges(size), dtype=dtype)
    # Both log how many nodes they remove.
    for name in ("onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # From torch's own code.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["pictures"],
            output_names=[task.kind.outputs],
            dynamic_shapes={"pictures": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    file = program.model_proto
    onnx.helper.set_model_props(file, {name: json.dumps(value) for name, value in metadata.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(file, path)
