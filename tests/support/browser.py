"""Pages as a browser shows them: headless Chromium, and a script in a copy of the page that measures it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# Measures a page in its frame, once it is laid out, and tells the page around it.
_SCRIPT = (Path(__file__).parent / "measure_page.js").read_text(encoding="utf-8")
_SCHEMES = {"dark": 0, "light": 1}


class Seen(NamedTuple):
    """What is wrong with a page at one width: each is a list of words that should be empty.

    Args:
        overflow: elements that reach beyond the right edge of the window.
        faint: texts with a contrast below 4.5, or 3 if they are large.
        broken: words that are broken between two lines.
        unnamed: pictures and plots without a description, links to nowhere, headings out of order.
    """

    overflow: list[str]
    faint: list[str]
    broken: list[str]
    unnamed: list[str]


def measure(pages: Mapping[str, Path], widths: tuple[int, ...], scheme: str, folder: Path) -> dict[str, Seen]:
    """Return what is wrong with each page at each width, under NAME-WIDTH.

    A window is never as narrow as a telephone, so each page is shown in a frame.
    """
    frames = []
    for name, path in pages.items():
        copy = folder / f"measured-{name}.html"
        copy.write_text(_measuring(path.read_text(encoding="utf-8"), name), encoding="utf-8")
        frames += [
            f'<iframe src="{copy.name}?{width}" width="{width}" height="800"></iframe>' for width in widths
        ]
    outer = folder / f"outer-{scheme}.html"
    collect = "onmessage = e => document.querySelector('pre').textContent += e.data + '\\n'"
    outer.write_text(f"<pre></pre><script>{collect}</script>{''.join(frames)}", encoding="utf-8")
    shown = run(outer, "--dump-dom", f"--blink-settings=preferredColorScheme={_SCHEMES[scheme]}").stdout
    lines = unescape(re.findall(r"<pre>(.*?)</pre>", shown, re.DOTALL)[0]).split("\n")
    found = [json.loads(line) for line in lines if line]
    return {each.pop("name"): Seen(**each) for each in found}


def complaints(path: Path) -> list[str]:
    """Return what the browser's console says of a page as it is."""
    return [
        line
        for line in run(path, "--dump-dom", "--enable-logging=stderr").stderr.splitlines()
        if "CONSOLE" in line
    ]


def printed_pages(path: Path, folder: Path) -> int:
    """Return the number of sheets of paper of a page."""
    pdf = folder / "printed.pdf"
    run(path, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    return len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))


def run(page: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Open a page and wait until it has been laid out."""
    assert CHROMIUM is not None
    # As root, in a container, Chromium has no sandbox of its own.
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    # Some time of its own clock for the frames, however slow the machine.
    waiting = ["--virtual-time-budget=20000", "--window-size=1400,900"]
    home = {"HOME": str(page.parent), "XDG_CONFIG_HOME": str(page.parent)}
    return subprocess.run(
        [CHROMIUM, *options, *waiting, *arguments, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env=os.environ | home,
    )


def _measuring(page: str, name: str) -> str:
    """Return a page that measures itself; its own policy allows no script."""
    open_to_scripts: Any = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    return str(open_to_scripts) + f"<script>const PAGE = {json.dumps(name)};\n{_SCRIPT}</script>"
