"""Airway: which genes the drug acts on (volcano), and how far the model pulls raw fold changes to zero (shrinkage)."""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from workflows.results.inspect import number
from workflows.results.report.drawing import BLUE, INK, RED, Picture, finished, panels
from workflows.results.report.facts import Facts
from workflows.results.tables.draws import ROWS

PSEUDO = 0.5
"""Added to mean counts, so that a gene without reads under one condition has a fold change."""


class Effects(NamedTuple):
    """By gene: mean and sd of d over the draws and the raw fold change, in log2 units; reads: mean count a sample."""

    mean: np.ndarray
    sd: np.ndarray
    raw: np.ndarray
    reads: np.ndarray
    draws: int

    @property
    def surprise(self) -> np.ndarray:
        """-log10 of the probability of the other sign, for normal draws of the mean and sd."""
        return np.asarray(-norm.logsf(np.abs(self.mean) / self.sd) / math.log(10))

    @property
    def strongest(self) -> np.ndarray:
        """The genes of the table of strongest effects."""
        return np.argsort(-np.abs(self.mean) / self.sd)[:ROWS]


def pictures(facts: Facts) -> list[Picture]:
    """Volcano and shrinkage."""
    effects = effects_of(facts)
    return [volcano(effects), shrinkage(effects)]


def effects_of(facts: Facts) -> Effects:
    """The effects of the drug by gene."""
    posterior, counts = facts.data["posterior"]["d"], facts.data["observed_data"]["y"].values
    constant = facts.data["constant_data"]
    draws = posterior.values.reshape(-1, posterior.shape[-1])
    # float64 sums over float32 draws: no copy of all draws in double precision.
    mean, sd = draws.mean(axis=0, dtype=float), draws.std(axis=0, ddof=1, dtype=float)
    raw = raw_fold_changes(counts, constant["library"].values, constant["treated"].values)
    return Effects(mean / math.log(2), sd / math.log(2), raw, counts.mean(axis=0), len(draws))


def raw_fold_changes(counts: np.ndarray, library: np.ndarray, treated: np.ndarray) -> np.ndarray:
    """log2 of the mean normalised count with the drug over that without. counts: [sample, gene]; library: logs."""
    scaled = counts / np.exp(library)[:, None]
    with_drug, without = scaled[treated > 0].mean(axis=0), scaled[treated <= 0].mean(axis=0)
    return np.asarray(np.log2((with_drug + PSEUDO) / (without + PSEUDO)))


def volcano(effects: Effects) -> Picture:
    """Fold change against how sure its sign is."""
    figure, ((axis,),) = panels(1, 1, 3.6)
    surprise, best = effects.surprise, effects.strongest
    axis.plot(effects.mean, surprise, ".", color=INK, alpha=0.35, markersize=2, rasterized=True)
    axis.plot(
        effects.mean[best], surprise[best], "o", markerfacecolor="none", color=RED, label=f"{len(best)} strongest"
    )
    axis.axhline(math.log10(effects.draws), color=BLUE, linestyle="--", label=f"1 in {effects.draws:,} draws")
    axis.set(xlabel="log2 fold change, posterior mean", ylabel="-log10 P(other sign)")
    axis.legend(loc="upper left", fontsize=7)
    caption = (
        f"Volcano plot of {len(effects.mean):,} genes: log2 fold change under dexamethasone against -log10 of the "
        "posterior probability of the other sign, from a normal with the mean and sd of each gene's draws, since "
        "counting draws ends at the dashed line. Circles: the table's genes."
    )
    return finished(figure, "Volcano plot: fold change against certainty of its sign, one point a gene.", caption)


def shrinkage(effects: Effects) -> Picture:
    """Raw fold change against posterior mean, for genes with few and with many reads."""
    figure, (axes,) = panels(1, 3, 2.6, sharex=True, sharey=True)
    edges = np.quantile(effects.reads, [0.0, 1 / 3, 2 / 3, 1.0]).tolist()
    reach = 1.05 * float(np.abs(effects.raw).max())
    height = 1.2 * float(np.abs(effects.mean).max())
    for part, axis in enumerate(axes):
        last = part == len(axes) - 1
        low, high = edges[part], edges[part + 1]
        chosen = (effects.reads >= low) & ((effects.reads <= high) if last else (effects.reads < high))
        axis.plot(effects.raw[chosen], effects.mean[chosen], ".", color=INK, alpha=0.35, markersize=2, rasterized=True)
        axis.plot([-reach, reach], [-reach, reach], color=RED, linewidth=0.7)
        axis.axhline(0.0, color=BLUE, linewidth=0.7, linestyle="--")
        axis.set(title=f"{number(low)} to {number(high)} reads a sample", xlabel="raw log2 fold change")
        axis.set(xlim=(-reach, reach), ylim=(-height, height))
    axes[0].set_ylabel("posterior mean")
    caption = (
        "Shrinkage: log2 fold change straight from the counts (means of counts over library size, "
        f"{PSEUDO} added) against the posterior mean, in three classes of equally many genes by mean reads. On the "
        "line: no shrinkage; towards the dashed line: pulled to no effect, as genes with few reads should be."
    )
    return finished(figure, "Raw fold change against posterior mean, by number of reads.", caption)
