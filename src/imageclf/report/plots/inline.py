"""A figure as an element of a page, in the page's own colours and font."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from zlib import crc32

from matplotlib.figure import Figure

from imageclf.report.plots.style import PALETTE, svg_bytes

_VARIABLES = {colour: f"var(--{name})" for name, colour in PALETTE.items()}
_PIXELS_PER_POINT = 96 / 72


def inline_svg(figure: Figure, description: str) -> str:
    """Return a figure as an <svg> element, with a description for screen readers.

    Its colours are the CSS variables of `PALETTE`, so that they follow light and dark, its texts have the
    page's font, and its ids are unlike those of any other figure of the page.
    """
    content = svg_bytes(figure)
    # Parsed, not searched: comments, entities and namespaces do not belong into a page.
    root = ElementTree.fromstring(content)
    _remove_unshown(root)
    prefix = f"f{crc32(content):08x}-"
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = dict(_attributes(element, prefix))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    size = {"width": width * _PIXELS_PER_POINT, "height": height * _PIXELS_PER_POINT}
    root.attrib |= {name: f"{value:.0f}" for name, value in size.items()}
    root.attrib |= {"role": "img", "aria-label": description}
    return ElementTree.tostring(root, encoding="unicode")


def themed(colour: str) -> str:
    """Return the CSS variable of a colour of `PALETTE`."""
    return _VARIABLES[colour]


def _remove_unshown(parent: ElementTree.Element) -> None:
    for child in list(parent):
        # A <style> element would restyle the whole page.
        if _local(child.tag) in ("metadata", "style"):
            parent.remove(child)
            continue
        _remove_unshown(child)
        child.tail = None
        # Indentation, and groups of nothing, are a third of the file.
        if not (child.text or "").strip():
            child.text = None
            if _local(child.tag) == "g" and len(child) == 0:
                parent.remove(child)


def _attributes(element: ElementTree.Element, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        match _local(name):
            # Of the others, such as axes_1, no reference is made.
            case "id" if element.tag in ("clipPath", "path", "marker"):
                yield "id", prefix + value
            case "href":
                yield "href", value.replace("#", f"#{prefix}")
            case "clip-path":
                yield "clip-path", value.replace("#", f"#{prefix}")
            case "style":
                yield "style", _restyled(value)
            case "id" | "version":
                pass
            case local:
                yield local, value


def _restyled(style: str) -> str:
    style = re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLES.get(found[0], found[0]), style)
    return re.sub(r"\bfont-family: [^;]*;? ?", "", style)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
