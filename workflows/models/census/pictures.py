"""Census: states and areas in order with their intervals, what pooling leaves of an area, incomes over experience."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from workflows.models.census.model import CENTRE_EDUCATION, COEFFICIENTS, covariates_of
from workflows.models.census.table import workers_of, yearly
from workflows.results.report.drawing import BLUE, GREY, INK, RED, Picture, axis_label, finished, panels
from workflows.results.report.facts import Facts
from workflows.results.report.pictures.intervals import Intervals, draw_band, draw_rows, intervals
from workflows.results.tables.draws import pooled

MOST = 1000
"""Draws of which profiles are made, at most."""
ROW = 0.135
"""Inches of the page for a state."""


class Areas(NamedTuple):
    """All areas.

    intercepts: [area], in log weekly income.
    workers: [area] how many live there.
    country: the mean intercept of the country, a median.
    """

    intercepts: Intervals
    workers: np.ndarray
    country: float

    @property
    def widths(self) -> np.ndarray:
        """Of the 95% intervals, [area]."""
        return self.intercepts.high - self.intercepts.low

    @property
    def single(self) -> np.ndarray:
        """Which areas [area] have a single worker."""
        return self.workers == 1

    @property
    def ordered(self) -> "Areas":
        """The areas in the order of their medians, the lowest first."""
        order = np.argsort(self.intercepts.median, kind="stable")
        return Areas(self.intercepts.of(order), self.workers[order], self.country)


class Profiles(NamedTuple):
    """Expected log weekly income over experience.

    years: [year] of experience.
    country: [year]
    states: by name, medians [year].
    """

    years: np.ndarray
    country: Intervals
    states: dict[str, np.ndarray]


def pictures(facts: Facts) -> list[Picture]:
    """States, areas and profiles."""
    posterior, constant = facts.data["posterior"], facts.data["constant_data"]
    names = posterior["state_intercept"].coords["state"].values
    intercepts = intervals(pooled(posterior["state_intercept"]))
    returns = intervals(yearly(pooled(posterior["state_education"])))
    return [states(names, intercepts, returns), areas(areas_of(posterior, constant)), profile(profiles_of(facts))]


def areas_of(posterior: Any, constant: Any) -> Areas:
    """The areas of a run."""
    draws = pooled(posterior["coefficients"][..., COEFFICIENTS.index("intercept")])
    workers = workers_of(draws.shape[1], constant["area_of_worker"].values)
    return Areas(intervals(draws), workers, float(np.median(posterior["mu_intercept"].values)))


def in_order(names: np.ndarray, found: Intervals) -> tuple[np.ndarray, Intervals]:
    """Names and intervals in the order of the medians, the lowest first."""
    order = np.argsort(found.median, kind="stable")
    return names[order], found.of(order)


def states(names: np.ndarray, intercepts: Intervals, returns: Intervals) -> Picture:
    """Two panels of all states, each in the order of its medians, the highest on top."""
    figure, (axes,) = panels(1, 2, 1.0 + ROW * len(names))
    labels = ("log weekly income at 13 years of education", "return to a year of education (%)")
    for axis, found, label in zip(axes, (intercepts, returns), labels, strict=True):
        ordered, rows = in_order(names, found)
        draw_rows(axis, rows, ordered)
        axis.tick_params(axis="y", labelsize=7, length=0)
        axis.set_xlabel(label)
    _dollars(axes[0])
    caption = (
        f"The {len(names)} states: intercept (left) and return to a year of education (right), each in the order of "
        "its medians, so that a state stands at different heights. Rings: posterior medians; thick and thin lines: "
        "intervals of 50% and 95%. Dollars: exp of the log income, nearer to a median income than to a mean."
    )
    return finished(figure, "Intervals of the states' intercepts and returns to education, in order.", caption)


def _dollars(axis: Axes) -> None:
    """A second scale on top of one of log incomes."""
    ticks = dollar_ticks(*axis.get_xlim())
    # Ticks at their logarithms on a linear axis: a scale of logarithms would be tried from 0 on.
    axis.secondary_xaxis("top").set_xticks(np.log(ticks), labels=[f"{tick:,.0f}" for tick in ticks])
    axis.set_title("dollars a week")


def dollar_ticks(low: float, high: float) -> list[float]:
    """Round numbers of dollars within an axis of log incomes from low to high."""
    ends = np.exp([low, high])
    return [float(tick) for tick in MaxNLocator(5).tick_values(*ends) if ends[0] <= tick <= ends[1]]


def areas(found: Areas) -> Picture:
    """All areas in order, and how wide their intervals are by number of workers."""
    figure, ((ribbon, pooling),) = panels(1, 2, 2.9, width_ratios=[1.6, 1])
    _ribbon(ribbon, found)
    pooling.plot(found.workers, found.widths, ".", color=GREY, markersize=3, rasterized=True)
    alone = found.workers[found.single], found.widths[found.single]
    pooling.plot(*alone, "^", color=INK, markerfacecolor="none", markersize=3.5)
    pooling.set(xscale="log", xlabel="workers in the area", ylabel="width of the 95% interval", ylim=(0, None))
    ticks = [number for number in (1, 2, 5, 10, 20, 50) if number <= max(1, found.workers.max())]
    pooling.set_xticks(ticks, labels=[str(tick) for tick in ticks])
    pooling.set_xticks([], minor=True)
    caption = (
        f"Intercepts of {len(found.workers):,} areas in the order of their medians (line), with intervals of 50% and "
        f"95% (dark, light), and the country's mean (dashed). {_pooled(found)}"
    )
    return finished(figure, "Ordered intervals of all areas, and their widths by number of workers.", caption)


def _ribbon(axis: Axes, found: Areas) -> None:
    ordered, ranks = found.ordered, 1 + np.arange(len(found.workers))
    draw_band(axis, ranks, ordered.intercepts)
    axis.axhline(found.country, color=RED, linestyle="--", label="country")
    if ordered.single.any():
        alone = ranks[ordered.single], ordered.intercepts.median[ordered.single]
        axis.plot(*alone, "^", color=INK, markerfacecolor="white", markersize=3.5)
    axis.set(xlabel="area, in order", ylabel="intercept (log weekly income)")
    axis.legend(loc="upper left", fontsize=7)


def _pooled(found: Areas) -> str:
    """How many areas have a single worker, and how wide their intervals are beside the others'."""
    single = found.single
    if not single.any() or single.all():
        return f"{'Every' if single.all() else 'No'} area has a single worker."
    one, more = (float(np.median(found.widths[chosen])) for chosen in (single, ~single))
    return (
        f"{single.sum():,} of them (triangles) have a single worker: their 95% intervals are {one:.2f} wide in the "
        f"median, the others' {more:.2f}. Pooling: without a state to lean on, a single worker would leave four "
        "coefficients unknown."
    )


def profiles_of(facts: Facts) -> Profiles:
    """Profiles over the experience that the data have, at 13 years of education; states: lowest, middle and highest
    median at the middle of these years."""
    posterior, experience = facts.data["posterior"], facts.data["constant_data"]["experience"].values
    years = np.linspace(experience.min(), experience.max(), 60)
    covariates = covariates_of(np.full_like(years, CENTRE_EDUCATION), years)
    country = _linear(posterior, "mu", covariates)
    median = np.median(_linear(posterior, "state", covariates), axis=0)
    order = np.argsort(median[:, len(years) // 2], kind="stable")
    names = posterior["state_intercept"].coords["state"].values
    chosen = dict.fromkeys(order[[-1, len(order) // 2, 0]])
    return Profiles(years, intervals(country), {str(names[state]): median[state] for state in chosen})


def _linear(posterior: Any, prefix: str, covariates: np.ndarray) -> np.ndarray:
    """Expected log incomes [draw, ..., year] from the coefficients with that prefix."""
    draws = (pooled(posterior[f"{prefix}_{name}"], MOST) for name in COEFFICIENTS)
    return sum((part[..., None] * row for part, row in zip(draws, covariates, strict=True)), start=np.zeros(()))


def profile(found: Profiles) -> Picture:
    """Income over experience."""
    figure, ((axis,),) = panels(1, 1, 2.8)
    draw_band(axis, found.years, found.country, label="country")
    for (name, line), dashes in zip(found.states.items(), ("--", "-.", ":"), strict=False):
        axis.plot(found.years, line, color=BLUE, linestyle=dashes, linewidth=1.2, label=axis_label(name))
    axis.set(xlabel="years of experience", ylabel="expected log weekly income")
    axis.legend(loc="lower right", fontsize=7)
    caption = (
        "Expected log weekly income over years of experience, at 13 years of education: the country's mean with "
        "intervals of 50% and 95% (dark, light), and posterior medians of the states that are highest, in the middle "
        "and lowest halfway."
    )
    return finished(figure, "Expected log income against experience, for the country and some states.", caption)
