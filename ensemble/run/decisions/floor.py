"""How low a log density may be: below it a replica is a straggler, which no posterior explains."""

import numpy as np
from scipy.special import chdtrc, chdtri, gammaincinv

NORMAL = 1.4826
"""The standard deviation of a normal law in units of its median absolute deviation."""

RARE = 1e-5
"""Chance of a draw below the floor where the density is normal."""

HEAVY = 2.0
"""Factor on the distance of the floor, for tails that are heavier than normal."""


def usual_spread(heights: np.ndarray, dimension: int) -> float:
    """The standard deviation of log densities: from their median absolute deviation, and at least that of d near-normal
    coordinates, sqrt(d / 2)."""
    return float(max(np.sqrt(dimension / 2), NORMAL * np.median(np.abs(heights - np.median(heights)))))


def floor_of(heights: np.ndarray, dimension: int, furthest: float | None = None) -> float:
    """The log density below which a replica is a straggler, by the log densities of the whole ensemble.

    furthest: in standard deviations below the median; None: where no draw of a posterior comes, twice as far as one in
    100,000 of a normal density of d coordinates, whose log density lies chi2_d / 2 below its mode. Minus infinity where
    the ensemble itself has no finite median.
    """
    median, spread = float(np.median(heights)), usual_spread(heights, dimension)
    if not np.isfinite(median) or not np.isfinite(spread):
        return -np.inf
    if furthest is not None:
        return median - furthest * spread
    distance = 0.5 * (chdtri(dimension, RARE) - _chi_square_median(dimension))
    return float(median - HEAVY * distance * spread / np.sqrt(dimension / 2))


def by_chance(furthest: float, dimension: int) -> float:
    """The share of independent draws from a normal density of so many dimensions that counts as stragglers.

    Twice the loss of log density against the mode is chi-square with d degrees of freedom.
    """
    return float(chdtrc(dimension, _chi_square_median(dimension) + furthest * np.sqrt(2 * dimension)))


def _chi_square_median(dimension: int) -> float:
    return float(2 * gammaincinv(dimension / 2, 0.5))
