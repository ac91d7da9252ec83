"""Is a gene up or down: local false sign rates and s-values (Stephens 2017), from counted signs.

A prior without a point mass gives every gene a sign, also one that does nothing, and half of those that seem to change
by chance have the sign they seem to have. So genes are called by the rate of signs that are false **or** effects that
are small (Zhu, Ibrahim and Love 2019), which counts such genes as wrong, and under a law of effects that may be 0 for
most (`adaptive`).
"""

from typing import NamedTuple

import numpy as np

SMALL = 0.1
"""The |log2 fold change| up to which a gene is said not to change: 7%."""


class Signs(NamedTuple):
    """negative: [gene] probability of an effect below 0, counted. counted: how many draws or sweeps it was counted
    over: what is below 1 / counted is not resolved."""

    negative: np.ndarray
    counted: int

    @property
    def false_sign_rate(self) -> np.ndarray:
        """[gene] local false sign rate, min(P(effect < 0), P(effect > 0)): the probability that the likelier sign is
        wrong; 0 where it is not resolved."""
        return np.minimum(self.negative, 1.0 - self.negative)


def of_sweeps(positive: np.ndarray, states: int) -> Signs:
    """Signs counted over every sweep of every chain, of which a share [gene] was above 0; none is exactly 0."""
    return Signs(1.0 - positive, states)


def of_draws(draws: np.ndarray) -> Signs:
    """Signs counted over stored draws [draw, gene]; a draw of 0 counts half."""
    return Signs((draws < 0).mean(axis=0) + 0.5 * (draws == 0).mean(axis=0), len(draws))


def false_or_small(draws: np.ndarray, weights: np.ndarray, small: float) -> np.ndarray:
    """[gene] min(P(effect <= small), P(effect >= -small)), over draws [draw, gene] that count by their weights, 1 a
    gene in all: the probability that an effect has not the likelier sign and a size above `small`; 0 where no draw
    says so."""
    return np.minimum((weights * (draws <= small)).sum(axis=0), (weights * (draws >= -small)).sum(axis=0))


def s_values(rates: np.ndarray) -> np.ndarray:
    """[gene] mean of the local rates of wrong calls at most as large as each gene's: what the share of wrong calls is
    expected to be among the genes called, if it is the last one called."""
    ordered = np.sort(rates)
    among = np.searchsorted(ordered, rates, side="right")
    return np.asarray(np.cumsum(ordered)[among - 1] / among)


def ranking(wrong: np.ndarray, false_sign_rates: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The genes in the order of their rates of wrong calls; where these are equal, of their false sign rates; where
    these are equal too, of |sizes|, the largest first."""
    return np.lexsort((-np.abs(sizes), false_sign_rates, wrong))
