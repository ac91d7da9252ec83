"""What a model says of its own posterior at the end of a run: tables for people."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workflows.stored_run import Run

ROWS = 10
"""Rows of a table of strongest effects."""
INTERVAL = 0.95


def lines(run: "Run") -> list[str]:
    """The report of the run's model, one string a line; empty for a model without one, or before there are draws."""
    writers = {"airway": strongest_effects, "scorpio": mode_masses}
    attributes = run.attributes
    writer = writers.get(attributes["model"])
    if writer is None or attributes["summary"]["draws"] == 0:
        return []
    return writer(run)


def strongest_effects(run: "Run") -> list[str]:
    """The genes on which dexamethasone acts most surely: log2 fold change, interval, probability of the sign.

    Ordered by |mean| / sd of d over all stored draws. The probability counts draws; where every draw agrees it is
    given as above 1 - 1 / draws.
    """
    d = run.data()["posterior"]["d"]
    draws = d.values.reshape(-1, d.shape[-1]).astype(float) / math.log(2)
    mean, sd = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    order = np.argsort(-np.abs(mean) / sd)[:ROWS]
    low, high = np.quantile(draws[:, order], [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
    genes = d.coords[d.dims[-1]].values
    table = [
        f"Strongest effects of dexamethasone ({len(draws):,} draws, {draws.shape[1]:,} genes)",
        f"  {'gene':<18}{'log2 fold change':>17}{f'{INTERVAL:.0%} interval':>21}{'P(sign)':>11}",
    ]
    for place, gene in enumerate(order):
        agree = float((np.sign(draws[:, gene]) == np.sign(mean[gene])).mean())
        sure = f"> {1 - 1 / len(draws):.4f}" if agree == 1.0 else f"{agree:.4f}"
        interval = f"[{low[place]:6.2f}, {high[place]:6.2f}]"
        table.append(f"  {genes[gene]!s:<18}{mean[gene]:>17.2f}{interval:>21}{sure:>11}")
    return table


def mode_masses(run: "Run") -> list[str]:
    """The mass of each mode of scorpio: its mean responsibility over draws and copies, whose expectation is its weight.

    The Monte Carlo error comes from the superchains, which are independent.
    """
    from workflows.models.scorpio import WEIGHTS, responsibilities

    posterior = run.data()["posterior"]
    superchains = run.attributes["settings"]["ensemble"]["superchains"]
    copies = posterior.sizes["copy"]
    by_superchain = np.stack(
        [
            np.asarray(responsibilities(x, y)).reshape(len(WEIGHTS), -1).mean(axis=1)
            for x, y in zip(
                *(np.array_split(posterior[name].values.astype(float), superchains) for name in ("x", "y")), strict=True
            )
        ]
    )
    mass, error = by_superchain.mean(axis=0), by_superchain.std(axis=0, ddof=1) / math.sqrt(superchains)
    table = [f"Masses of the modes ({copies:,} copies)", f"  {'mode':<10}{'mass':>9}{'error':>9}{'exact':>8}"]
    for name, *row in zip(("body", "tail", "tail", "stinger"), mass, error, WEIGHTS, strict=True):
        table.append(f"  {name:<10}{row[0]:>9.4f}{row[1]:>9.4f}{row[2]:>8.1f}")
    return table
