"""Heart-beat intervals: the curve with its bands and residuals, phase space; of many subjects the population and some
curves."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

from workflows.models.rri.curve import NAMES, Curve, mean, partials
from workflows.models.rri.noise import FLOOR, deviation
from workflows.models.rri.published import MEANS, PARAMETERS, SDS
from workflows.models.rri.table import NOISE, of_many, truth
from workflows.results.report.drawing import BLUE, GREY, INK, RED, Picture, finished, panels
from workflows.results.report.facts import Facts
from workflows.results.report.pictures.intervals import Intervals, draw_rows, intervals
from workflows.results.tables.draws import pooled

MOST = 600
"""Draws of which bands are made, at most; one of each chain at least."""
TRAJECTORIES = 40
"""Draws whose trajectories are shown."""
PAIRS = (("alpha", "c"), ("beta", "delta"))
"""Parameters whose joint draws are shown."""
SUBJECTS = 6
"""Subjects shown by themselves."""
FINE = 600
"""Points of a trajectory."""


class Fit(NamedTuple):
    """A recording with its posterior curve.

    t: [N] minutes.
    y: [N] intervals, ms.
    curve: [draw, N], ms.
    sd: [draw, N] standard deviation of the noise, ms.
    """

    t: np.ndarray
    y: np.ndarray
    curve: np.ndarray
    sd: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """The mean of the curve, [N]."""
        return np.asarray(self.curve.mean(axis=0))

    @property
    def noise(self) -> np.ndarray:
        """The mean of its standard deviation, [N]."""
        return np.asarray(self.sd.mean(axis=0))

    @property
    def residuals(self) -> np.ndarray:
        """What the mean of the curve leaves, [N]."""
        return self.y - self.center


def middle_95(draws: np.ndarray) -> np.ndarray:
    """Ends [2, N] of the middle 95% of draws [draw, N]."""
    return np.asarray(np.quantile(draws, [0.025, 0.975], axis=0))


class Phase(NamedTuple):
    """The parameters of one subject's curve.

    draws: [draw], by name.
    minutes: length of the recording.
    truth: the true values, where they are known.
    """

    draws: Mapping[str, np.ndarray]
    minutes: float
    truth: Mapping[str, float]

    @property
    def middle(self) -> Curve:
        """The curve of the mean of the parameters."""
        return Curve(*(float(self.draws[name].mean()) for name in NAMES))

    @property
    def shown(self) -> dict[str, np.ndarray]:
        """The draws whose trajectories are shown, evenly spaced."""
        every = -(-len(self.draws["tau"]) // TRAJECTORIES)
        return {name: values[::every] for name, values in self.draws.items()}


def pictures(facts: Facts) -> list[Picture]:
    """Of one subject, or of many."""
    return _of_many(facts.data) if of_many(facts.data["posterior"]) else _of_one(facts.data)


def _of_one(data: Any) -> list[Picture]:
    posterior, time = data["posterior"], data["constant_data"]["time"].values
    known = {name: float(value) for name, value in truth(data).items()}
    found = fit(posterior, time, data["observed_data"]["y"].values)
    phase = Phase({name: pooled(posterior[name]) for name in NAMES}, float(time.max()), known)
    return [recording(found, "sigma_alpha" in posterior), phase_space(phase)]


def _of_many(data: Any) -> list[Picture]:
    posterior, time, y = data["posterior"], data["constant_data"]["time"].values, data["observed_data"]["y"].values
    labels = posterior["alpha"].coords["subject"].values
    fits = {str(labels[subject]): fit(posterior, time, y[:, subject], subject) for subject in chosen(len(labels))}
    location, spread = (intervals(pooled(posterior[name])) for name in ("location", "spread"))
    return [population(location, spread, len(labels)), subjects(fits, len(labels))]


def chosen(total: int) -> np.ndarray:
    """The subjects that are shown by themselves, evenly spaced: numbers from 0."""
    return np.unique(np.linspace(0, total - 1, SUBJECTS).round().astype(int))


def fit(posterior: Any, t: np.ndarray, y: np.ndarray, subject: int | None = None) -> Fit:
    """The fit of the only subject, or of one of many (its number from 0)."""

    def column(name: str) -> jax.Array:
        draws = posterior[name] if subject is None else posterior[name][..., subject]
        return jnp.asarray(pooled(draws, MOST)[:, None])

    times = jnp.asarray(t)
    curve = np.asarray(mean(Curve(*map(column, NAMES)), times))
    if "sigma_alpha" not in posterior:
        return Fit(t, y, curve, np.broadcast_to(column("sigma"), curve.shape))
    # The floor as the model has it: a share of the standard deviation of the intervals.
    return Fit(t, y, curve, np.asarray(deviation(Curve(*map(column, NOISE)), FLOOR * y.std(), times)))


def recording(found: Fit, varying: bool) -> Picture:
    """The curve over the data, the residuals under it, and the standard deviation of the noise where that varies."""
    heights = [2.0, 1.2, 1.0] if varying else [2.0, 1.2]
    figure, rows = panels(len(heights), 1, 1.3 * sum(heights), sharex=True, height_ratios=heights)
    axes = [row[0] for row in rows]
    draw_fit(axes[0], found)
    axes[0].set_ylabel("interval (ms)")
    axes[0].legend(loc="lower right", fontsize=7, markerscale=3)
    _residuals(axes[1], found)
    if varying:
        axes[2].fill_between(found.t, *middle_95(found.sd), color=GREY, alpha=0.5, linewidth=0)
        axes[2].plot(found.t, found.noise, color=INK, linestyle="--")
        axes[2].set(ylabel="noise sd (ms)", ylim=(0, None))
    axes[-1].set_xlabel("minutes")
    beyond = np.abs(found.residuals) > 2 * found.noise
    caption = (
        f"Above, {len(found.t):,} intervals (dots), the posterior mean of the curve with its 95% band, and two "
        "standard deviations of the noise about it (dashed). Below, what the curve leaves: "
        f"{beyond.mean():.1%} lie beyond the dashed lines, 4.6% would of normal noise; grey, the band of the curve"
        f"{'. Last, the standard deviation of the noise with its 95% band.' if varying else '.'}"
    )
    return finished(figure, "Recording with the posterior curve and its bands, and residuals.", caption)


def draw_fit(axis: Axes, found: Fit) -> None:
    """Data, the mean curve with its 95% band, and two standard deviations of the noise."""
    axis.plot(found.t, found.y, ".", color=GREY, markersize=1.5, rasterized=True, label="intervals")
    axis.fill_between(found.t, *middle_95(found.curve), color=BLUE, alpha=0.5, linewidth=0, label="curve, 95%")
    axis.plot(found.t, found.center, color=INK, linewidth=0.8, label="curve, mean")
    for side, label in ((-2, None), (2, "two sd of noise")):
        axis.plot(found.t, found.center + side * found.noise, color=INK, linestyle="--", linewidth=0.6, label=label)


def _residuals(axis: Axes, found: Fit) -> None:
    axis.plot(found.t, found.residuals, ".", color=INK, markersize=1.5, alpha=0.6, rasterized=True)
    axis.fill_between(found.t, *middle_95(found.curve - found.center), color=GREY, linewidth=0, zorder=3)
    axis.plot(found.t, 2 * found.noise, color=INK, linestyle="--", linewidth=0.6)
    axis.plot(found.t, -2 * found.noise, color=INK, linestyle="--", linewidth=0.6)
    axis.set_ylabel("residual (ms)")


def motion(curve: Curve, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """M and dM/dt. Time enters the curve as t - tau alone, so that the latter is minus the derivative by tau."""
    times = jnp.asarray(t)
    return np.asarray(mean(curve, times)), -np.asarray(partials(curve, times).tau)


def phase_space(found: Phase) -> Picture:
    """Trajectories of the curve, and two pairs of parameters that hold each other."""
    figure, (axes,) = panels(1, 3, 2.5, width_ratios=[1.3, 1, 1])
    shown = _trajectories(axes[0], found)
    for axis, pair in zip(axes[1:], PAIRS, strict=True):
        _joint(axis, found, *pair)
    told = ", ".join(f"{correlation(found, *pair):.2f} of {pair[0]} and {pair[1]}" for pair in PAIRS)
    caption = (
        f"Left, phase space: the curve against its change in time, for {shown} draws (grey) and for the mean of the "
        "parameters (black); at the circle, tau, exercise has done half its work, at the square, tau + delta, "
        f"recovery. Right, draws of two pairs of parameters; correlations: {told}."
        f"{' Crosses: the true values.' if found.truth else ''}"
    )
    return finished(figure, "Phase space of the curve, and joint draws of two pairs of parameters.", caption)


def _trajectories(axis: Axes, found: Phase) -> int:
    """The curves of some draws and of the mean in phase space; of how many draws."""
    t = np.linspace(0.0, found.minutes, FINE)
    some, middle = found.shown, found.middle
    place, speed = motion(Curve(*(jnp.asarray(some[name][:, None]) for name in NAMES)), t)
    axis.plot(place.T, speed.T, color=GREY, linewidth=0.4, rasterized=True)
    axis.plot(*motion(middle, t), color=INK, linewidth=0.9)
    for marker, time in (("o", middle.tau), ("s", middle.tau + middle.delta)):
        axis.plot(*motion(middle, np.array([time])), marker, color=RED, markersize=4)
    axis.set(xlabel="interval (ms)", ylabel="its change (ms a minute)")
    return len(place)


def correlation(found: Phase, one: str, other: str) -> float:
    """Of two parameters of the curve over the draws; NaN where one of them never moved."""
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(found.draws[one], found.draws[other])[0, 1])


def _joint(axis: Axes, found: Phase, one: str, other: str) -> None:
    """Draws of two parameters, and their true values."""
    draws = found.draws
    axis.plot(draws[one], draws[other], ".", color=INK, alpha=0.25, markersize=2, rasterized=True)
    if one in found.truth:
        axis.plot(found.truth[one], found.truth[other], "X", color=RED, markeredgecolor="white", markersize=8)
    axis.set(xlabel=f"{one} (ms)", ylabel=f"{other} (minutes)" if other == "delta" else other)


def in_published_units(location: Intervals, spread: Intervals) -> tuple[Intervals, Intervals]:
    """Locations from the published means, and spreads, both [parameter] in published standard deviations."""
    return Intervals(*((end - MEANS) / SDS for end in location)), Intervals(*(end / SDS for end in spread))


def population(location: Intervals, spread: Intervals, subjects: int) -> Picture:
    """Locations and spreads of the population in units of the published standard deviations."""
    figure, (axes,) = panels(1, 2, 2.6)
    places = in_published_units(location, spread)
    labels = ("location: (value - published mean) / published sd", "spread / published sd")
    for axis, found, label, line in zip(axes, places, labels, (0.0, 1.0), strict=True):
        draw_rows(axis, found, PARAMETERS)
        axis.invert_yaxis()
        axis.axvline(line, color=RED, linestyle="--", linewidth=0.7)
        axis.set_xlabel(label)
    axes[1].set_xlim(left=0.0)
    caption = (
        f"The population behind {subjects:,} subjects: locations (left) and spreads between subjects (right) of the "
        "eight parameters, in units of the published standard deviations; dashed: the published values. Rings: "
        "medians; thick and thin lines: intervals of 50% and 95%."
    )
    return finished(figure, "Intervals of the population's parameters beside the published values.", caption)


def subjects(fits: Mapping[str, Fit], total: int) -> Picture:
    """Small panels of some subjects' curves."""
    columns = min(3, len(fits))
    figure, rows = panels(-(-len(fits) // columns), columns, 1.9 * -(-len(fits) // columns), sharex=True)
    axes = [axis for row in rows for axis in row]
    for axis, (label, found) in zip(axes, fits.items(), strict=False):
        draw_fit(axis, found)
        axis.set_title(f"subject {label}")
    for axis in axes[len(fits) :]:
        axis.set_axis_off()
    figure.supxlabel("minutes", fontsize=8)
    figure.supylabel("interval (ms)", fontsize=8)
    caption = (
        f"{len(fits)} of {total:,} subjects, evenly chosen: intervals (dots), posterior mean of the curve with its 95% "
        "band, and two standard deviations of the noise (dashed)."
    )
    return finished(figure, "Recordings of some subjects with their posterior curves and bands.", caption)
