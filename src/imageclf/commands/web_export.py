"""A page that classifies photos in the browser: imageclf-export format=web."""

import base64
import json
import tarfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from imageclf import InputError
from imageclf.report.page import render_page
from imageclf.system.files import write_bytes, write_text
from imageclf.system.words import first_line

# The page is tested with this version of onnxruntime-web.
VERSION = "1.30.0"
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{VERSION}/dist/"
_MODULE, _WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


def write_page(
    folder: Path, name: str, network: str, about: Mapping[str, object], runtime: str | None
) -> None:
    """Write index.html and its scripts beside a folder's model.onnx.

    The scripts are model.js, jpeg.js with the JPEG decoder and, with a package of the runtime, runtime.js;
    they are scripts that hold base64: a page that is opened by a double click may not read other files.

    `about` holds classes, `prepare` and `input` of the ONNX file, and the facts of the task; `runtime` is
    onnxruntime-web as `npm pack` writes it, without which the page loads it from a CDN.

    Raises:
        InputError: there is no such package, or it lacks the runtime.
    """
    vendored = files("imageclf.report").joinpath("vendored")
    decoder = _script("JPEG", _base64(vendored.joinpath("jpeg-turbo.wasm").read_bytes()))
    # It has to go wherever the decoder goes.
    licence = vendored.joinpath("LICENSE.txt").read_text(encoding="utf-8")
    scripts = {
        "jpeg.js": f"/*!\n{licence}*/\n{decoder}",
        "model.js": _script("MODEL", _base64((folder / "model.onnx").read_bytes())),
    }
    if runtime is not None:
        module, wasm = read_runtime(Path(runtime).expanduser())
        scripts["runtime.js"] = _script("RUNTIME", {"module": module.decode(), "wasm": _base64(wasm)})
    for name_of_script, text in scripts.items():
        write_text(folder / name_of_script, text)
    origin = "" if runtime else CDN
    page = render_page(
        "web_page.html.j2",
        name=name,
        network=network,
        about={**about, "runtime": CDN + _MODULE},
        origin=origin,
        scripts=list(scripts),
    )
    write_bytes(folder / "index.html", page)


def read_runtime(package: Path) -> tuple[bytes, bytes]:
    """Return the module and the WebAssembly of onnxruntime-web, from its package.

    Raises:
        InputError: the file is missing or another.
    """
    try:
        with tarfile.open(package) as archive:
            module, wasm = (archive.extractfile(f"package/dist/{name}") for name in (_MODULE, _WASM))
            assert module is not None and wasm is not None, "they are files"
            return module.read(), wasm.read()
    except (OSError, KeyError, tarfile.TarError) as error:
        raise InputError(
            f"runtime={package} is not the package onnxruntime-web ({first_line(error)}): give the file that "
            f"`npm pack onnxruntime-web@{VERSION}` writes"
        ) from None


def _script(name: str, value: object) -> str:
    return f"self.{name} = {json.dumps(value)};\n"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
