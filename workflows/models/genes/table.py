"""The table of genes: all of them for a file, the surest for print."""

import numpy as np
import pandas as pd

from workflows.models.genes.effects import CALLED, Effects, effects_of
from workflows.results.protocol import StoredRun
from workflows.results.tables.draws import INTERVAL, interval

ROWS = 20
"""Genes that are printed."""


def lines(run: StoredRun) -> list[str]:
    """How many genes change, and those whose sign is surest."""
    return text(effects_of(run.reader(), run.data))


def frame(run: StoredRun) -> pd.DataFrame:
    """One row a gene, by false_or_small, then false_sign_rate, then size. Columns:

    gene, symbol; log2_fold_change: posterior mean; sd; low, high: ends of the 95% interval; false_sign_rate: local, 0
    where no draw has the other sign (below one in as many draws as there are); false_or_small: probability of that or
    of a |log2 fold change| up to `small`, under the law of effects that all genes show; s_value: of false_or_small;
    beyond: P(|log2 fold change| > threshold); mean_count: mean of counts over size factors; dispersion: posterior
    geometric mean; ess: effective sample size of the log2 fold change.
    """
    return as_frame(effects_of(run.reader(), run.data))


def as_frame(found: Effects) -> pd.DataFrame:
    """The table of the effects."""
    columns = {
        "gene": found.genes,
        "symbol": found.symbols,
        "log2_fold_change": found.mean,
        "sd": found.sd,
        "low": found.between[0],
        "high": found.between[1],
        "false_sign_rate": found.signs.false_sign_rate,
        "false_or_small": found.wrong,
        "s_value": found.s_value,
        "beyond": found.beyond,
        "mean_count": found.mean_count,
        "dispersion": found.dispersion,
        "ess": found.ess,
    }
    return pd.DataFrame({name: values[found.order] for name, values in columns.items()})


def summary(found: Effects) -> str:
    """How many genes change."""
    up, down = (int((found.changed & (sign * found.mean > 0)).sum()) for sign in (1, -1))
    return (
        f"{up + down:,} of {len(found.genes):,} genes change with {found.name} by more than {found.small:g} (log2), "
        f"{CALLED:.0%} of them expected to be called wrongly: {up:,} up, {down:,} down."
    )


def text(found: Effects) -> list[str]:
    """The table for print, one string a line."""
    name = 2 + max((len(found.label(gene)) for gene in found.order[:ROWS]), default=4)
    beyond = f"P(|.| > {found.threshold:g})"
    head = (
        f"  {'gene':<{name}}{'log2 fold change':>17}{f'{INTERVAL:.0%} interval':>18}{'false sign':>12}{'or small':>10}"
        f"{'s-value':>10}{beyond:>12}{'mean count':>13}{'dispersion':>12}{'ESS':>8}"
    )
    counted = [
        f"  False sign: probability of the other sign, over {found.signs.counted:,} states of all chains.",
        f"  Or small: of that or a change within {found.small:g}, over {found.draws:,} draws, under the law of effects "
        f"that all genes show ({found.law.shares[0]:.0%} as good as 0).",
    ]
    return [summary(found), *counted, head] + [_row(found, gene, name) for gene in found.order[:ROWS]]


def _row(found: Effects, gene: int, name: int) -> str:
    ess = f"{found.ess[gene]:,.0f}" if np.isfinite(found.ess[gene]) else "-"
    rate = _rate(found.signs.false_sign_rate[gene], found.signs.counted)
    wrong, s_value = (_rate(of[gene], found.draws) for of in (found.wrong, found.s_value))
    return (
        f"  {found.label(gene):<{name}}{found.mean[gene]:>17.2f}{interval(found.between[:, gene], '6.2f'):>18}"
        f"{rate:>12}{wrong:>10}{s_value:>10}{found.beyond[gene]:>12.2f}{found.mean_count[gene]:>13,.0f}"
        f"{found.dispersion[gene]:>12.3g}{ess:>8}"
    )


def _rate(rate: float, counted: int) -> str:
    """A probability counted over so many draws: what is below one in them is not known."""
    least = 1.0 / counted
    return f"< {least:.1g}" if rate < least else f"{rate:.2g}"
