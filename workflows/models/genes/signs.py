"""Is a gene up or down: local false sign rates and s-values (Stephens 2017), from counted signs."""

from typing import NamedTuple

import numpy as np


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


def s_values(rates: np.ndarray) -> np.ndarray:
    """[gene] mean of the local false sign rates at most as large as each gene's: what the share of wrong signs is
    expected to be among the genes called, if it is the last one called."""
    ordered = np.sort(rates)
    among = np.searchsorted(ordered, rates, side="right")
    return np.asarray(np.cumsum(ordered)[among - 1] / among)


def ranking(rates: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The genes in the order of their false sign rates and, where these are equal, of |sizes|, the largest first."""
    return np.lexsort((-np.abs(sizes), rates))
