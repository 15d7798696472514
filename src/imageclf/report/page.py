"""What all pages share: one HTML file each, without network or script, and how they print numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from imageclf.report.plots.inline import inline_svg, themed
from imageclf.report.thumbnails import pixels_uri
from imageclf.system.words import joined

ABSENT = "-"
# Inches of a plot that fills the page on a desk, and on a telephone.
_WIDE, _NARROW = 10.4, 3.7


@dataclass(frozen=True)
class Card:
    """One headline number, ready to print."""

    key: str
    title: str
    value: str
    note: str


def svg_plot(figure: Figure, description: str) -> Markup:
    """Return a figure of lines and text, with a description for screen readers."""
    return Markup(inline_svg(figure, description))


def fluid_plot(draw: Callable[[float], Figure], description: str) -> Markup:
    """Return a figure that fills the page, drawn for a desk and for a telephone, of which one is shown.

    Args:
        draw: makes the figure for a width in inches; shrunk to a telephone, letters could not be read.
        description: for screen readers.
    """
    wide, narrow = (svg_plot(draw(width), description) for width in (_WIDE, _NARROW))
    return Markup('<div class="on-desk">{}</div><div class="on-phone">{}</div>').format(wide, narrow)


def render_page(template: str, **values: object) -> bytes:
    """Render a template of this package, in UTF-8."""
    # autoescape by name would not know the ending .j2, and class names may contain markup.
    environment = Environment(
        # Finds the template in an installed wheel too.
        loader=PackageLoader("imageclf.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    words = {"percent": percent, "duration": duration, "score": score, "joined": joined}
    environment.filters.update(words, themed=themed, log=math.log, pixels_uri=pixels_uri)
    # "replace": a file name that is not UTF-8 is shown with a question mark.
    return environment.get_template(template).render(values).encode("utf-8", "replace")


def percent(fraction: float, pictures: int = 0) -> str:
    """Return a fraction in percent, with a second decimal from 1,000 pictures on."""
    return f"{100 * fraction:.{2 if pictures >= 1000 else 1}f} %"


def score(value: float, decimals: int = 2) -> str:
    """Return a number with some decimals; "-" for NaN."""
    return ABSENT if math.isnan(value) else f"{value:.{decimals}f}"


def score_text(name: str, value: float, pictures: int = 1000) -> str:
    """Return a score as text: accuracies in percent, all others with four decimals; "-" for NaN.

    >>> score_text("val/acc_tta", 0.9375), score_text("val/loss", 0.21)
    ('93.75 %', '0.2100')
    """
    if math.isnan(value):
        return ABSENT
    return percent(value, pictures) if "/acc" in name else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return seconds as text in one or two units.

    >>> duration(3725)
    '1 h 02 min'
    """
    # Rounded first: 59.6 seconds are one minute, not 60 seconds.
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{seconds:.1f} s" if seconds < 10 else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def pixels(value: float) -> str:
    """Return a number of pixels, with a decimal only if it is not whole.

    >>> pixels(1200.0), pixels(96.5)
    ('1,200', '96.5')
    """
    return f"{value:,.1f}".removesuffix(".0")
