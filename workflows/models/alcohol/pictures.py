"""Alcohol: effects of the groups of people, counts seen beside predicted ones, ways of reporting."""

from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.axes import Axes

from workflows.models.alcohol.heaping import WAYS, HeapedCounts
from workflows.models.alcohol.model import GROUPS
from workflows.models.alcohol.table import EVERY, unknown
from workflows.results.report.drawing import GREY, INK, RED, Picture, finished, panels
from workflows.results.report.facts import Facts
from workflows.results.report.pictures.intervals import Intervals, draw_band, draw_rows, intervals
from workflows.results.tables.draws import pooled

LAST = 30
"""The largest count shown by itself; those above are counted together."""
PREDICTED = 80
"""Draws from which counts are predicted, at most; one of each chain at least."""


class Group(NamedTuple):
    """A group of people: the labels of its categories [n] and the intervals of their effects."""

    name: str
    labels: np.ndarray
    effects: Intervals


class Counts(NamedTuple):
    """How many people reported 1, 2, ..., LAST and more: seen [LAST + 1], and predicted by some draws [draw, LAST + 1];
    of how many draws in all, and the intervals of the weights of the ways of reporting."""

    seen: np.ndarray
    predicted: np.ndarray
    draws: int
    weights: Intervals

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways of reporting that the model has."""
        return WAYS[: len(self.weights.median)]


def pictures(facts: Facts) -> list[Picture]:
    """Effects and counts."""
    return [effects(groups_of(facts.data["posterior"])), counts(counts_of(facts.data))]


def groups_of(posterior: Any) -> list[Group]:
    """The groups of a run, age last."""
    found = ((name, posterior[f"effect_{name}"]) for name in EVERY)
    return [Group(name, effect.coords[name].values, intervals(pooled(effect))) for name, effect in found]


def counts_of(data: Any) -> Counts:
    """What people reported, and what each of them would report anew under draws of their propensities."""
    posterior, observed = data["posterior"], data["observed_data"]
    answered = ~unknown(posterior, observed)
    propensity = pooled(posterior["propensity"], PREDICTED)[:, answered]
    weights = pooled(posterior["reporting"], PREDICTED)
    seen = tallied(observed["y"].values)
    return Counts(seen, predicted(propensity, weights), posterior["mu"].size, intervals(pooled(posterior["reporting"])))


def tallied(reports: np.ndarray) -> np.ndarray:
    """How many counts are 1, 2, ..., LAST and more: [LAST + 1]."""
    return np.bincount(np.minimum(reports, LAST + 1), minlength=LAST + 2)[1:]


def predicted(propensity: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Tallies [draw, LAST + 1] of new reports by people of the propensities [draw, person], by the model's own law."""
    keys = jax.random.split(jax.random.key(0), len(propensity))
    return np.stack([tallied(np.asarray(_anew(*of))) for of in zip(keys, propensity, weights, strict=True)])


@jax.jit
def _anew(key: jax.Array, propensity: jax.Array, weights: jax.Array) -> jax.Array:
    """New reports [person]."""
    return HeapedCounts(propensity, weights).sample(key)


def effects(groups: list[Group]) -> Picture:
    """A panel a group."""
    figure, axes = panels(2, 3, 4.4)
    reach = 1.05 * max(float(np.abs(end).max()) for group in groups for end in (group.effects.low, group.effects.high))
    for axis, group in zip((axis for row in axes for axis in row), groups, strict=True):
        (_rows if group.name in GROUPS else _curve)(axis, group, reach)
    caption = (
        "Effects on the log of the drinks beyond the first, against the mean over the categories of each group "
        "(dashed), all other groups being equal: posterior medians (rings, line) with intervals of 50% and 95% (thick "
        "and thin, dark and light), on one scale. 0.1 is about 10% more drinks beyond the first. Categories that are "
        "numbers are codes of the survey."
    )
    return finished(figure, "Intervals of the effects of region, sex, education, ethnicity, marital and age.", caption)


def _rows(axis: Axes, group: Group, reach: float) -> None:
    """Categories without an order: rows, the first on top."""
    draw_rows(axis, group.effects, group.labels)
    axis.invert_yaxis()
    axis.axvline(0.0, color=RED, linestyle="--", linewidth=0.7)
    axis.set(title=group.name, xlabel="effect", xlim=(-reach, reach))


def _curve(axis: Axes, group: Group, reach: float) -> None:
    """Categories in order: a curve with its band."""
    places = np.arange(len(group.labels))
    draw_band(axis, places, group.effects)
    axis.axhline(0.0, color=RED, linestyle="--", linewidth=0.7)
    axis.set(title=group.name, ylabel="effect", xticks=places, ylim=(-reach, reach))
    axis.set_xticklabels(group.labels, rotation=90, fontsize=7)


def counts(found: Counts) -> Picture:
    """Counts seen over the range of predicted ones, and the weights of the ways of reporting."""
    figure, ((axis, ways),) = panels(1, 2, 2.8, width_ratios=[3, 1])
    places, ranges = 1 + np.arange(LAST + 1), intervals(found.predicted)
    axis.vlines(places, ranges.low, ranges.high, color=GREY, linewidth=4.5, label="predicted, 95%")
    axis.plot(places, found.seen, "x", color=INK, markersize=4, label="seen")
    # Linear up to 2, so that a count that nobody reported is shown.
    axis.set_yscale("symlog", linthresh=2.0)
    axis.set(xlabel="drinks reported", ylabel="people", ylim=(-0.3, None), xticks=[1, *range(5, LAST, 5), LAST + 1])
    axis.set_xticklabels([*map(str, [1, *range(5, LAST, 5)]), f">{LAST}"])
    axis.legend(loc="upper right", fontsize=7)
    draw_rows(ways, found.weights, found.ways)
    ways.invert_yaxis()
    ways.set(xlabel="weight", xlim=(0, 1))
    return finished(figure, "Counts seen beside predicted ones, and weights of ways of reporting.", _words(found))


def _words(found: Counts) -> str:
    low, *_, high = intervals(found.predicted)
    inside = int(((low <= found.seen) & (found.seen <= high)).sum())
    return (
        f"Left: how many of {found.seen.sum():,} people reported each count (crosses), and the middle 95% of new "
        f"reports by the same people, with their propensities in {len(found.predicted)} of {found.draws:,} draws "
        f"(bars); {inside} of {LAST + 1} crosses lie within. The scale is linear up to 2 and logarithmic above. "
        "Right: weights of the ways of reporting, with intervals of 50% and 95%."
    )
