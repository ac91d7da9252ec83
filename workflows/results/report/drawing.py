"""Pictures for paper and screen: matplotlib's objects without its global state, and figures as data addresses."""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

WIDTH = 6.9
"""Inches: what A4 has between its margins."""

LONGEST = 32
"""Letters of an axis's label at most."""

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 0.9,
    "legend.frameon": False,
    "savefig.dpi": 200,
    # Letters as outlines look alike everywhere; the words that a reader may search for stand in the captions.
    "svg.fonttype": "path",
    # The same store gives the same bytes.
    "svg.hashsalt": "maxwell",
}

INK, RED, BLUE, GREY = "#111111", "#b2182b", "#2166ac", "#9a9a9a"
"""Colours that differ in lightness too, for printers without colour."""


class Picture(NamedTuple):
    """A drawn figure: its data address, what it shows in words, and its caption."""

    source: str
    alt: str
    caption: str


@contextmanager
def style() -> Iterator[None]:
    """The look of every picture, while they are made and written."""
    with matplotlib.rc_context(STYLE):
        yield


def panels(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure of the page's width with rows times columns axes; height in inches; options as of `subplots`."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, [list(row) for row in axes]


def axis_label(name: str) -> str:
    """A name from a model or its data as the label of an axis: short, on one line, and never taken for a formula."""
    words = " ".join(name.split())
    short = words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"
    return short.replace("$", r"\$")


def finished(figure: Figure, alt: str, caption: str) -> Picture:
    """The figure as SVG in a data address; what was drawn with rasterized=True is an image in it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A name in letters that the font does not have is drawn in boxes; the caption has it in full.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Picture(f"data:image/svg+xml;base64,{data}", alt, caption)
