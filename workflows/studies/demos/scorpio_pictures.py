"""Pictures of scorpio: states beside exact draws, Q-Q lines, masses over sweeps, the flow between cold and hot."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from workflows.models.scorpio.model import WEIGHTS
from workflows.studies.demos.canvas import COLD, EXACT, FAINT, HOT, label, panels
from workflows.studies.demos.scorpio_runs import Watch, quantiles

MODES = ("body", "tail", "tail end", "stinger")
SHADES = ("#20609f", "#4f9d69", "#c9a227", "#c8502e")


def scatter(runs: Mapping[str, Watch], exact: np.ndarray) -> Figure:
    """The states after the last round of each run, over as many exact draws."""
    figure, axes = panels(1, len(runs) + 1, "Scorpio, every start in the body: states at the end")
    exact = exact[: len(next(iter(runs.values())).points)]
    for panel, (name, points) in zip(
        axes, [("exact draws", exact), *((name, run.points) for name, run in runs.items())], strict=True
    ):
        panel.plot(*exact.T, ".", color=FAINT, markersize=1.5, alpha=0.4)
        panel.plot(*points.T, ".", color=EXACT if points is exact else COLD, markersize=1.5, alpha=0.5)
        panel.set_xlim(-6.5, 9.5)
        panel.set_ylim(-5.0, 14.0)
        label(panel, name, "x", "y")
    return figure


def lines(runs: Mapping[str, Watch], exact: np.ndarray) -> Figure:
    """Quantiles of x and y against those of exact draws; right where they lie on the diagonal."""
    figure, axes = panels(2, len(runs), "Scorpio: quantiles against those of exact draws")
    for column, (name, run) in enumerate(runs.items()):
        found, wanted = quantiles(run.pooled, exact)
        for row, site in enumerate("xy"):
            panel = axes[row * len(runs) + column]
            ends = [wanted[:, row].min(), wanted[:, row].max()]
            panel.plot(ends, ends, color=FAINT, linewidth=1)
            panel.plot(wanted[:, row], found[:, row], ".", color=COLD, markersize=3)
            label(panel, f"{name}: {site}", "exact", "run")
    return figure


def masses(runs: Mapping[str, Watch]) -> Figure:
    """The mass of each mode after every round; dotted, the exact ones."""
    figure, axes = panels(1, len(runs), "Scorpio: masses of the modes among the cold states")
    for panel, (name, run) in zip(axes, runs.items(), strict=True):
        for mode, shade in enumerate(SHADES):
            panel.plot(run.sweeps, run.cold[:, mode], color=shade, label=MODES[mode], linewidth=1)
            panel.axhline(WEIGHTS[mode], color=shade, linestyle=":", linewidth=1)
        panel.set_ylim(-0.02, 1.02)
        label(panel, name, "trajectories" if run.scouting else "sweeps", "mass")
    axes[0].legend(fontsize=7)
    return figure


def flow(run: Watch) -> Figure:
    """Exchanges of a run with a hot half: how many, what they did to the cold half, and the masses of the hot one."""
    if run.flow is None:
        raise ValueError("there is no flow without exchanges: give the run that has a hot half")
    figure, (accepted, gained, hot) = panels(1, 3, "Scorpio: the flow of states between T = 1 and T = 3.5")
    accepted.plot(run.sweeps, run.flow.accepted, color=HOT, linewidth=1)
    label(accepted, "exchanges accepted", "sweeps", "share")
    gained.axhline(0.0, color=FAINT, linewidth=1)
    gained.plot(run.sweeps, np.cumsum(run.flow.gained), color=HOT, linewidth=1)
    label(gained, "gained by the cold half through exchanges", "sweeps", "log density of a scorpio, in all")
    for mode, shade in enumerate(SHADES):
        hot.plot(run.sweeps, run.hot[:, mode], color=shade, label=MODES[mode], linewidth=1)
    hot.legend(fontsize=7)
    label(hot, "masses of the hot half", "sweeps", "mass")
    return figure
