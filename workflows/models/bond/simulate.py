"""Simulated weeks of the bond model at its published constants: always the same numbers; fewer are the first ones.

States are rounded, so that they are equal to the last bit whatever library takes powers and sums.
"""

from typing import NamedTuple

import numpy as np

from workflows.models.bond.dynamics import Theta, price_drift, rate_drift
from workflows.models.bond.published import DT, FIRST_PRICE, FIRST_RATE, FIRST_WEALTH, SHARES, TRUTH

DECIMALS = 8
"""Of every state; the smallest noise of a week has a standard deviation of 4e-4."""
SEED, ERROR_SEED = 2080, 2081


class Series(NamedTuple):
    """price [weeks + 1, maturity], logarithms; rate and wealth [weeks + 1]. The first row is week 0."""

    price: np.ndarray
    rate: np.ndarray
    wealth: np.ndarray


def simulate(weeks: int) -> Series:
    """The first weeks at the true parameters."""
    # Drawn week after week: the first ones do not depend on how many there are.
    noise = np.random.default_rng(SEED).standard_normal((weeks, FIRST_PRICE.size + 2))
    return Series(*(part.round(DECIMALS) for part in path(Theta(**TRUTH), noise)))


def path(theta: Theta, noise: np.ndarray) -> Series:
    """The states that standard normals [weeks, maturity + 2] make: those of the prices, of r and of W."""
    root = np.sqrt(DT)
    wealth = _summed(FIRST_WEALTH, theta.omega * DT + theta.sigma_w * root * noise[:, -1])
    rate = np.full(len(noise) + 1, FIRST_RATE)
    for week, shock in enumerate(theta.sigma_r * root * noise[:, -2]):
        rate[week + 1] = rate[week] + rate_drift(theta, rate[week]) * DT + shock
    drift = price_drift(theta, SHARES, rate[:-1], 1.0 / wealth[:-1])
    return Series(_summed(FIRST_PRICE, drift * DT + theta.sigma * root * noise[:, :-2]), rate, wealth)


def measured(price: np.ndarray, error: float) -> np.ndarray:
    """Log prices with independent normal errors of that standard deviation, those of week 0 too."""
    noise = np.random.default_rng(ERROR_SEED).standard_normal(price.shape)
    return np.asarray(price + error * noise).round(DECIMALS)


def _summed(first: np.ndarray | float, changes: np.ndarray) -> np.ndarray:
    """The first value and the ones after each change."""
    return np.cumsum(np.concatenate([np.broadcast_to(first, (1, *changes.shape[1:])), changes]), axis=0)
