"""An exported page in headless Chromium: it is given files, and what it finds is read."""

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from browser import CHROMIUM

from imageclf.commands.web_export import VERSION

NPM = shutil.which("npm")
# Its document is left open, so the page is not loaded, and not printed, before the last file is done.
_SCRIPT = """
<script src="files.js"></script>
<script>
const frame = document.body.appendChild(document.createElement("iframe"));
frame.contentDocument.open();
(async () => {
  const files = Object.entries(FILES).map(([name, content]) => new File([bytesOf(content)], name));
  const found = {};
  for (const file of files) {
    found[file.name] = await classify(file).then((values) => [...values], (error) => error.message);
  }
  const dropped = new DataTransfer();
  dropped.items.add(files[0]);
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
  const shown = () => document.querySelector("#results tr, #results .hint:not(:empty)");
  while (!shown()) await new Promise((done) => setTimeout(done, 20));
  Object.assign(ABOUT.prepare, LARGER);
  const pixels = {};
  for (const file of files.filter((each) => typeof found[each.name] !== "string")) {
    pixels[file.name] = btoa(String.fromCharCode(...(await prepare(file))));
  }
  const pre = document.body.appendChild(document.createElement("pre"));
  pre.id = "found";
  pre.textContent = JSON.stringify([found, pixels]);
})().finally(() => frame.contentDocument.close());
</script>
"""


@pytest.fixture(scope="session")
def runtime_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return onnxruntime-web as npm packs it."""
    if NPM is None or CHROMIUM is None:
        pytest.skip("no npm or no chromium: apt-get install npm chromium")
    folder = tmp_path_factory.mktemp("npm")
    subprocess.run([NPM, "pack", f"onnxruntime-web@{VERSION}"], cwd=folder, check=True, capture_output=True)
    return next(folder.glob("*.tgz"))


class Shown(NamedTuple):
    """What a page does with files.

    Args:
        found: the probabilities of each file, or why there are none.
        pixels: of each file that it shows, as it prepares them with other options.
        html: after the first file was dropped on it.
        log: of the browser's console.
    """

    found: dict[str, Any]
    pixels: dict[str, bytes]
    html: str
    log: str


def shown(page: Path, files: Sequence[Path], larger: Mapping[str, Any]) -> Shown:
    """Return what a page does with files; `larger` are options of `prepare`, for another size."""
    assert CHROMIUM is not None
    given = {each.name: base64.b64encode(each.read_bytes()).decode() for each in files}
    (page.parent / "files.js").write_text(
        f"const FILES = {json.dumps(given)}; const LARGER = {json.dumps(larger)};"
    )
    copy = page.with_name("driven.html")
    copy.write_text(page.read_text(encoding="utf-8") + _SCRIPT, encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom", "--enable-logging=stderr"]
    done = subprocess.run(
        [CHROMIUM, *options, copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | {"HOME": str(page.parent), "XDG_CONFIG_HOME": str(page.parent)},
    )
    written = re.findall(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    found, pixels = json.loads(unescape(written[0]))
    log = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    decoded = {name: base64.b64decode(content) for name, content in pixels.items()}
    return Shown(found, decoded, done.stdout, log)
