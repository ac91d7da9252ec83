"""What a stored run says of every gene, as arrays: what the table and the pictures are made of."""

import math
from typing import Any, NamedTuple

import numpy as np
import xarray

from ensemble.store.protocol import RunReader
from workflows.models.genes.adaptive import Law, fitted, student, weights
from workflows.models.genes.signs import SMALL, Signs, false_or_small, of_draws, of_sweeps, ranking, s_values
from workflows.results.diagnostics import diagnostics
from workflows.results.tables.draws import ends, pooled

CALLED = 0.05
"""The share of wrong calls that is expected among the genes that are said to change."""
FEW_DRAWS = 1000
"""Draws from which dispersions are told."""


class Effects(NamedTuple):
    """By gene, effects as log2 fold changes.

    name: of the effect in the design. genes, symbols: ids, and names where known, else empty. mean, sd: of the draws.
    between: [2, gene] ends of the 95% interval. beyond: P(|effect| > threshold). signs: counted signs. law: of the
    effects, as all genes show it. wrong: probability of a false sign or an effect up to `small`, under that law, over
    `draws` draws. s_value: mean of `wrong` down to each gene. mean_count: of counts over size factors. dispersion:
    posterior geometric mean. ess: of the effect over all sweeps; NaN before it is known.
    """

    name: str
    genes: np.ndarray
    symbols: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    between: np.ndarray
    beyond: np.ndarray
    threshold: float
    signs: Signs
    law: Law
    small: float
    wrong: np.ndarray
    draws: int
    s_value: np.ndarray
    mean_count: np.ndarray
    dispersion: np.ndarray
    ess: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """The genes by the probability that a call is wrong, then false sign rate, then size."""
        return ranking(self.wrong, self.signs.false_sign_rate, self.mean)

    @property
    def changed(self) -> np.ndarray:
        """[gene] whether it is among those called, of which a share of CALLED is expected to be wrong."""
        return self.s_value <= CALLED

    def label(self, gene: int) -> str:
        """A gene's name where known, else its id."""
        return str(self.symbols[gene]) or str(self.genes[gene])


def effects_of(reader: RunReader, data: Any) -> Effects:
    """The effects of a stored run. data: the run's groups."""
    posterior, constant = data["posterior"], data["constant_data"]
    effect = int(np.argmax(constant["contrast"].values))
    draws = pooled(posterior["effect"][..., effect]) / math.log(2)
    known = diagnostics(reader)
    signs = _signs(known, effect, draws)
    threshold = float(constant["threshold"].values)
    small = float(constant["small"].values) if "small" in constant else SMALL
    prior = student(draws, *(pooled(posterior[f"effect_{name}"][..., effect]) for name in ("sd", "df")))
    law = fitted(draws, prior)
    wrong = false_or_small(draws, weights(law, draws, prior), small)
    return Effects(
        name=str(constant.coords["coefficient"].values[effect]),
        genes=posterior.coords["gene"].values,
        symbols=constant["symbol"].values,
        mean=draws.mean(axis=0),
        sd=draws.std(axis=0, ddof=1),
        between=ends(draws),
        beyond=(np.abs(draws) > threshold).mean(axis=0),
        threshold=threshold,
        signs=signs,
        law=law,
        small=small,
        wrong=wrong,
        draws=len(draws),
        s_value=s_values(wrong),
        mean_count=normalised(data).mean(axis=0),
        dispersion=np.exp(np.log(pooled(posterior["dispersion"], FEW_DRAWS)).mean(axis=0)),
        ess=_ess(known, effect, draws.shape[1]),
    )


def _signs(known: xarray.Dataset, effect: int, draws: np.ndarray) -> Signs:
    """Signs counted over all sweeps; before the first check of the goals over the draws [draw, gene]."""
    if "effect_positive" not in known:
        return of_draws(draws)
    return of_sweeps(known["effect_positive"].values[:, effect], known.attrs["states"])


def normalised(data: Any) -> np.ndarray:
    """[sample, gene] counts over size factors."""
    counts, sizes = data["observed_data"]["counts"].values, data["constant_data"]["size_factor"].values
    return np.asarray(counts / sizes[:, None])


def _ess(found: xarray.Dataset, effect: int, genes: int) -> np.ndarray:
    return found["effect_ess"].values[:, effect] if "effect_ess" in found else np.full(genes, np.nan)
