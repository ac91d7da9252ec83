"""Pictures of all genes: MA plot, volcano, dispersions about their trend, counts of the surest genes."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from workflows.models.genes.effects import CALLED, Effects, effects_of, normalised
from workflows.models.genes.table import summary
from workflows.results.report.drawing import BLUE, GREY, INK, RED, Picture, axis_label, finished, panels
from workflows.results.report.facts import Facts
from workflows.results.tables.draws import pooled

NAMED = 10
"""Genes whose names a picture has room for."""
COLUMNS, SHOWN = 4, 12
"""Panels of counts: in a row, in all."""
FEW = 4
"""Values of a covariate that are marked one by one."""
TREND_DRAWS = 200
"""Draws of the trend whose middle is drawn."""


def pictures(facts: Facts) -> list[Picture]:
    """MA plot, volcano, dispersions, counts."""
    found = effects_of(facts.reader, facts.data)
    return [ma(found), volcano(found), dispersions(found, trend(facts.data, found)), counts(found, facts.data)]


def ma(found: Effects) -> Picture:
    """Fold change against mean count."""
    figure, ((axis,),) = panels(1, 1, 3.2)
    _points(axis, found, found.mean_count, found.mean)
    axis.axhline(0.0, color=BLUE, linewidth=0.7)
    axis.set(xscale="log", xlabel="mean count, over size factors", ylabel="log2 fold change")
    axis.legend(loc="upper left", fontsize=7)
    caption = (
        f"MA plot: posterior mean of the log2 fold change for {found.name} against the mean count of each gene. "
        + summary(found)
    )
    return finished(figure, "Fold change against mean count, one point a gene.", caption)


def volcano(found: Effects) -> Picture:
    """Fold change against how sure it is."""
    figure, ((axis,),) = panels(1, 1, 3.6)
    least = 1.0 / found.draws
    height = -np.log10(np.maximum(found.s_value, least))
    _points(axis, found, found.mean, height)
    axis.axhline(-np.log10(CALLED), color=GREY, linestyle=":", label=f"s-value {CALLED:g}")
    axis.axhline(-np.log10(least), color=BLUE, linestyle="--", label=f"1 in {found.draws:,}")
    axis.set(xlabel="log2 fold change", ylabel="-log10 s-value")
    axis.legend(loc="lower right", fontsize=7)
    caption = (
        f"Volcano plot: log2 fold change for {found.name} against -log10 of the s-value, the share of wrong calls (a "
        f"false sign, or a change within {found.small:g}) expected among the genes down to this one. At the dashed "
        "line calls are as sure as counting can tell."
    )
    return finished(figure, "Fold change against its certainty, one point a gene.", caption)


def trend(data: Any, found: Effects) -> np.ndarray:
    """[2, n] means and the posterior median of alpha_0 + alpha_1 / mean over the range of the mean counts."""
    posterior = data["posterior"]
    floor, slope = (pooled(posterior[f"dispersion_{name}"], TREND_DRAWS) for name in ("floor", "slope"))
    means = np.geomspace(found.mean_count.min(), found.mean_count.max(), 100)
    return np.stack([means, np.median(floor[:, None] + slope[:, None] / means, axis=0)])


def dispersions(found: Effects, fitted: np.ndarray) -> Picture:
    """Dispersion against mean count, with the trend [2, n]."""
    figure, ((axis,),) = panels(1, 1, 3.2)
    axis.plot(found.mean_count, found.dispersion, ".", color=INK, alpha=0.35, markersize=2, rasterized=True)
    axis.plot(fitted[0], fitted[1], color=RED, label="trend")
    axis.set(xscale="log", yscale="log", xlabel="mean count, over size factors", ylabel="dispersion")
    axis.legend(loc="upper right", fontsize=7)
    caption = (
        "Dispersions: posterior geometric mean of each gene's against its mean count, and the posterior median of the "
        "trend alpha_0 + alpha_1 / mean about which they lie."
    )
    return finished(figure, "Dispersion against mean count, one point a gene, with the trend.", caption)


def counts(found: Effects, data: Any) -> Picture:
    """Counts of the surest genes against the covariate, samples alike in all else joined."""
    chosen = found.order[:SHOWN]
    rows = -(-len(chosen) // COLUMNS)
    figure, axes = panels(rows, min(COLUMNS, len(chosen)), 1.5 * rows + 0.3, sharex=True)
    covariates = data["constant_data"]["covariates"].values
    effect = int(np.argmax(data["constant_data"]["contrast"].values))
    x, values = covariates[:, effect], normalised(data)[:, chosen]
    alike = np.unique(np.delete(covariates, effect, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    levels = np.unique(x)
    places = [axis for row in axes for axis in row]
    for axis, gene, reads in zip(places, chosen, values.T, strict=False):
        for group in np.unique(alike):
            of = np.flatnonzero(alike == group)
            of = of[np.argsort(x[of], kind="stable")]
            axis.plot(x[of], reads[of] + 0.5, "o-", color=INK, markersize=2.5, linewidth=0.5, alpha=0.8)
        axis.set(yscale="log", title=axis_label(found.label(gene)))
        axis.margins(x=0.2)
        axis.yaxis.set_major_formatter("{x:,.0f}")
        axis.yaxis.set_minor_formatter("{x:,.0f}")
        axis.tick_params(which="both", labelsize=6)
        if len(levels) <= FEW:
            axis.set_xticks(levels)
    for axis in places[len(chosen) :]:
        axis.set_axis_off()
    for row in axes:
        row[0].set_ylabel("count + .5")
    for axis in axes[-1]:
        axis.set_xlabel(axis_label(found.name))
    caption = (
        f"Counts over size factors (.5 added) of the {len(chosen)} genes that change most surely, against "
        f"{found.name}; lines join samples that are alike in the rest of the design."
    )
    return finished(figure, "Counts of the surest genes by condition.", caption)


def _points(axis: Axes, found: Effects, x: np.ndarray, y: np.ndarray) -> None:
    """A point a gene, those that change in red, the surest with their names."""
    for chosen, colour, label in ((~found.changed, INK, None), (found.changed, RED, f"changed, {CALLED:.0%}")):
        axis.plot(x[chosen], y[chosen], ".", color=colour, alpha=0.5, markersize=2.5, rasterized=True, label=label)
    for gene in found.order[:NAMED]:
        axis.annotate(
            axis_label(found.label(gene)), (x[gene], y[gene]), fontsize=5, textcoords="offset points", xytext=(2, 2)
        )
