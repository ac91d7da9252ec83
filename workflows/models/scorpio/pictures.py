"""Scorpio: draws over the exact density, and the mass of each mode beside its weight."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from workflows.models.scorpio.model import WEIGHTS, log_density, responsibilities
from workflows.results.report.drawing import BLUE, GREY, INK, RED, Picture, finished, panels
from workflows.results.report.facts import Facts
from workflows.results.report.pooling import groups

POINTS = 6000
"""Draws shown at most: more would be one blot."""
MODES = ("body", "tail 1", "tail 2", "stinger")
BOX = ((-6.0, 9.0), (-4.5, 14.0))
"""Where the density is: ranges of x and y."""


class Masses(NamedTuple):
    """Mean responsibility of each mode by group of chains, [group, mode]; points: some of the draws, [n, 2]."""

    by_group: np.ndarray
    points: np.ndarray
    draws: int


def pictures(facts: Facts) -> list[Picture]:
    """Scatter and masses."""
    masses = masses_of(facts)
    return [scatter(masses), mode_masses(masses)]


def masses_of(facts: Facts) -> Masses:
    """The masses of the modes over all copies."""
    x, y = (facts.data["posterior"][name].values.astype(float) for name in ("x", "y"))
    members = groups(facts.chains, facts.superchains)
    by_group = [np.asarray(responsibilities(x[c], y[c])).reshape(len(WEIGHTS), -1).mean(axis=1) for c in members]
    flat = np.stack([x.ravel(), y.ravel()], axis=1)
    return Masses(np.stack(by_group), flat[:: -(-len(flat) // POINTS)], len(flat))


def scatter(masses: Masses) -> Picture:
    """Draws of all copies over contours of the exact density."""
    figure, ((axis,),) = panels(1, 1, 4.0)
    axis.plot(*masses.points.T, ".", color=INK, alpha=0.4, markersize=2.5, rasterized=True)
    x, y = np.meshgrid(*(np.linspace(*span, 160) for span in BOX))
    density = np.exp(np.asarray(log_density(jnp.asarray(x), jnp.asarray(y))))
    axis.contour(x, y, density, levels=density.max() * np.array([0.003, 0.03, 0.3]), colors=RED, linewidths=0.8)
    axis.set(xlabel="x", ylabel="y", xlim=BOX[0], ylim=BOX[1], aspect="equal")
    shown = len(masses.points)
    which = "All" if shown == masses.draws else f"{shown:,} of"
    caption = (
        f"{which} {masses.draws:,} draws of all copies (dots) and contours of the exact density at .3, .03 and .003 of "
        "its highest value."
    )
    return finished(figure, "Draws of scorpio over contours of the exact density.", caption)


def mode_masses(masses: Masses) -> Picture:
    """The mass of each mode in each group of chains, and its weight."""
    figure, ((axis,),) = panels(1, 1, 2.4)
    places = np.arange(len(WEIGHTS))
    axis.bar(places, masses.by_group.mean(axis=0), color=GREY, edgecolor=INK, linewidth=0.6, width=0.6)
    spread = np.linspace(-0.2, 0.2, len(masses.by_group))
    for offset, row in zip(spread, masses.by_group, strict=True):
        axis.plot(places + offset, row, ".", color=BLUE, markersize=4)
    axis.hlines(WEIGHTS, places - 0.4, places + 0.4, color=RED, linestyle="--")
    axis.set(xticks=places, ylabel="mass")
    axis.set_xticklabels(MODES)
    caption = (
        "Mass of each mode, the mean responsibility over draws and copies: all chains (bars), groups of chains (dots), "
        f"exact (dashed). Over {len(masses.by_group)} groups."
    )
    return finished(figure, "Mass of each mode beside the exact one.", caption)
