"""Airway: the genes on which dexamethasone acts most surely."""

import math

import numpy as np

from workflows.results.protocol import StoredRun
from workflows.results.tables.draws import INTERVAL, ROWS, ends, interval, pooled


def lines(run: StoredRun) -> list[str]:
    """The strongest effects: log2 fold change, interval, probability of the sign.

    Ordered by |mean| / sd of d over all stored draws. The probability counts draws; where every draw agrees it is
    given as above 1 - 1 / draws.
    """
    d = run.data["posterior"]["d"]
    draws = pooled(d) / math.log(2)
    mean, sd = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    order = np.argsort(-np.abs(mean) / sd)[:ROWS]
    between = ends(draws[:, order]).T
    genes = d.coords[d.dims[-1]].values
    table = [
        f"Strongest effects of dexamethasone ({len(draws):,} draws, {draws.shape[1]:,} genes)",
        f"  {'gene':<18}{'log2 fold change':>17}{f'{INTERVAL:.0%} interval':>21}{'P(sign)':>11}",
    ]
    for place, gene in enumerate(order):
        agree = float((np.sign(draws[:, gene]) == np.sign(mean[gene])).mean())
        sure = f"> {1 - 1 / len(draws):.4f}" if agree == 1.0 else f"{agree:.4f}"
        table.append(f"  {genes[gene]!s:<18}{mean[gene]:>17.2f}{interval(between[place], '6.2f'):>21}{sure:>11}")
    return table
