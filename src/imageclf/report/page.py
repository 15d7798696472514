"""What every page shares: one HTML file with everything inside, no network, no script."""

import base64
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from imageclf.report.plots.style import png_bytes, svg_bytes
from imageclf.report.run_numbers import duration, percent


@dataclass(frozen=True)
class Plot:
    """A figure as a `data:` address, with the words for those who do not see it."""

    image: str
    description: str


def svg_plot(figure: Figure, description: str) -> Plot:
    """Return a figure of lines and words, sharp at any size."""
    # An SVG inside of <img> runs no script and shares no ids with its neighbours.
    return Plot(_address("svg+xml", svg_bytes(figure)), description)


def png_plot(figure: Figure, description: str) -> Plot:
    """Return a figure of photographs."""
    return Plot(_address("png", png_bytes(figure)), description)


def render_page(template: str, **values: object) -> bytes:
    """Fill in a template of this package, and return the page in UTF-8."""
    # autoescape by name would not know the ending .j2, and class names may contain markup.
    environment = Environment(
        # Finds the template in an installed wheel too.
        loader=PackageLoader("imageclf.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, duration=duration)
    # "replace": a file name that is no UTF-8 is shown with a question mark.
    return environment.get_template(template).render(values).encode("utf-8", "replace")


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
