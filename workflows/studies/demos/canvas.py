"""Figures without a display or global state: a figure of panels, and PNG files that depend on what they show alone."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 110
PANEL = (4.2, 3.6)
"""Width and height of a panel in inches."""
COLD, HOT, EXACT, FAINT = "#20609f", "#c8502e", "#222222", "#9a9a9a"


def panels(rows: int, columns: int, title: str) -> tuple[Figure, list[Axes]]:
    """An empty figure and its panels, row after row."""
    figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def label(axes: Axes, title: str, x: str, y: str) -> None:
    """Title and axis labels of a panel."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without date and version, so that the same figure is the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
