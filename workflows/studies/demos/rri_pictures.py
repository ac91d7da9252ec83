"""Pictures of the curve and of leapfrog on its likelihood."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflows.models.rri.published import EXAMPLE, PARAMETERS
from workflows.studies.demos.canvas import COLD, EXACT, FAINT, HOT, label, panels
from workflows.studies.demos.conditioning import Conditioning
from workflows.studies.demos.leapfrog import Trajectory
from workflows.studies.demos.rri_views import Band, Surface

SHOWN = (("alpha", "ms"), ("beta", "ms"), ("tau", "min"))
"""Parameters of which the phase space is shown, a slow one among them."""


def phase_space(
    original: Trajectory, repaired: Trajectory, numbers: Conditioning, center: np.ndarray, sd: np.ndarray
) -> Figure:
    """Position against velocity, as first shown above and repaired below; two standard deviations about the center of
    the likelihood are drawn as a band, which a stationary trajectory would fill."""
    title = (
        f"Leapfrog with unit mass, condition number {numbers.condition:.1e}: stable below h = "
        f"{numbers.stable_step:.4f}, slowest period {numbers.slowest_period:.1f}"
    )
    figure, axes = panels(2, len(SHOWN), title)
    rows = (("unit mass", original, HOT), ("metric", repaired, COLD))
    for row, (name, trajectory, colour) in enumerate(rows):
        for column, (parameter, unit) in enumerate(SHOWN):
            where = PARAMETERS.index(parameter)
            panel = axes[row * len(SHOWN) + column]
            _band(panel, center[where], sd[where])
            panel.plot(trajectory.position[:, where], trajectory.velocity[:, where], color=colour, linewidth=0.7)
            panel.plot(trajectory.position[0, where], trajectory.velocity[0, where], "o", color=EXACT, markersize=4)
            label(panel, f"{name}, {trajectory.time[-1]:.3g} time units", f"{parameter} ({unit})", "velocity")
    return figure


def _band(axes: Axes, center: float, sd: float) -> None:
    """Two standard deviations about the center, and the axis twice as wide."""
    axes.axvspan(center - 2 * sd, center + 2 * sd, color=FAINT, alpha=0.2, linewidth=0)
    axes.set_xlim(center - 4 * sd, center + 4 * sd)


def curves(bands: dict[str, Band]) -> Figure:
    """Recordings with the true mean and two standard deviations of the noise, a panel each."""
    figure, axes = panels(1, len(bands), "RR intervals through rest, exercise and recovery")
    for panel, (name, shown) in zip(axes, bands.items(), strict=True):
        t = shown.recording.t
        panel.plot(t, shown.recording.y, ".", color=FAINT, markersize=1.5)
        panel.fill_between(t, shown.mean - 2 * shown.sd, shown.mean + 2 * shown.sd, color=COLD, alpha=0.25, linewidth=0)
        panel.plot(t, shown.mean, color=COLD)
        label(panel, f"{name} noise", "minutes", "interval (ms)")
    return figure


def likelihood(shown: Surface) -> Figure:
    """Contours of the log likelihood over (alpha, c)."""
    figure, (panel,) = panels(1, 1, "Log likelihood, other parameters at the truth")
    levels = -np.array([32.0, 18.0, 12.5, 8.0, 4.5, 2.0, 0.5])
    contours = panel.contour(shown.alpha, shown.c, shown.log_likelihood, levels=levels, cmap="viridis")
    panel.clabel(contours, fontsize=7)
    panel.plot(EXAMPLE.alpha, EXAMPLE.c, "o", color=EXACT, markersize=4)
    label(panel, "below its largest value", "alpha (ms)", "c")
    return figure


def derivatives(t: np.ndarray, found: dict[str, np.ndarray]) -> Figure:
    """What one standard deviation of each parameter does to the mean, over time."""
    figure, (panel,) = panels(1, 1, "Partial derivatives of the mean")
    for name, values in found.items():
        panel.plot(t, values, label=name, linewidth=1)
    panel.legend(fontsize=7)
    label(panel, "in units of each parameter's standard deviation", "minutes", "ms")
    return figure
