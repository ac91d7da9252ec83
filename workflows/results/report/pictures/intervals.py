"""Posterior intervals for print: rows of lines, one above the other, or bands along an axis."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from workflows.results.report.drawing import GREY, INK, axis_label

LEVELS = (0.025, 0.25, 0.5, 0.75, 0.975)


class Intervals(NamedTuple):
    """Ends of the middle 95% (low, high) and of the middle 50% (lower, upper) of draws, and their median; each [n]."""

    low: np.ndarray
    lower: np.ndarray
    median: np.ndarray
    upper: np.ndarray
    high: np.ndarray

    def of(self, chosen: np.ndarray) -> "Intervals":
        """Some of them, in the order of the indices `chosen`."""
        return Intervals(*(end[chosen] for end in self))


def intervals(draws: np.ndarray) -> Intervals:
    """Of draws [draw, n]."""
    return Intervals(*np.quantile(draws, LEVELS, axis=0))


def draw_rows(axis: Axes, found: Intervals, labels: Iterable[object]) -> None:
    """A row for each interval, the first at the bottom: a thin line for 95%, thick for 50%, a ring at the median."""
    places = np.arange(len(found.median))
    axis.hlines(places, found.low, found.high, color=INK, linewidth=0.7)
    axis.hlines(places, found.lower, found.upper, color=INK, linewidth=2.2)
    axis.plot(found.median, places, "o", color=INK, markerfacecolor="white", markersize=3, markeredgewidth=0.7)
    axis.set(yticks=places, ylim=(-0.7, len(places) - 0.3))
    axis.set_yticklabels([axis_label(str(label)) for label in labels])


def draw_band(axis: Axes, x: np.ndarray, found: Intervals, label: str | None = None) -> None:
    """A band along x: light for 95%, dark for 50%, a line for the median, with its label for the legend."""
    axis.fill_between(x, found.low, found.high, color=GREY, alpha=0.35, linewidth=0)
    axis.fill_between(x, found.lower, found.upper, color=GREY, alpha=0.7, linewidth=0)
    axis.plot(x, found.median, color=INK, label=label)
