"""Whether one chain is elsewhere than all others: what nested R-hat, which looks at superchain means, cannot see."""

import numpy as np
from scipy.special import stdtrit

FALSE_ALARM = 1e-3
"""Chance of a false alarm in one look at all coordinates and chains, of chains whose means are normal."""


def furthest_chain(
    sums: np.ndarray,
    squares: np.ndarray,
    largest: np.ndarray,
    smallest: np.ndarray,
    chains: int,
    allowed: np.ndarray | float = 0.0,
) -> np.ndarray:
    """How far the mean of the most outlying chain lies from the others, for each coordinate: its externally studentised
    deviation, which for n chains with independent normal means of one law has a t distribution with n - 2 degrees.

    The others alone give the unit, so that one lost chain of 32 is not hidden by the spread that it makes itself (of n
    values none lies further than (n - 1) / sqrt(n) of their own standard deviations out). All arguments are of the
    chains' sums: total, total of squares, largest and smallest. allowed: a chain whose sum lies no further than that
    from the others' mean is passed over: chains that seldom change between modes have means that are far from normal,
    and one that was in the rare mode for long does no harm where it hardly moves the mean of all. NaN where there are
    fewer than four chains, or the others do not differ. Source: Cook and Weisberg 1982, Residuals and Influence in
    Regression, 2.2.
    """
    if chains < 4:
        return np.full(sums.shape, np.nan)
    found = np.zeros(sums.shape)
    for extreme in (largest, smallest):
        rest = chains - 1
        mean = (sums - extreme) / rest
        variance = (squares - extreme**2 - rest * mean**2) / (rest - 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            away = np.abs(extreme - mean) / np.sqrt(np.maximum(variance, 0.0) * (1.0 + 1.0 / rest))
        found = np.fmax(found, np.where(np.abs(extreme - mean) > allowed, away, 0.0))
    return np.where(squares > 0, found, np.nan)


def allowed_pull(ess: float, chains: int) -> float:
    """By how many posterior standard deviations one chain may move the mean of all before it counts as outlying: the
    Monte Carlo error of as many effective draws as a goal asks for. At most half of what a chain comes to that lies
    infinitely far out, whose own share of the standard deviation bounds it at 1 / sqrt(chains)."""
    return min(1.0 / np.sqrt(ess), 0.5 / np.sqrt(chains))


def furthest_limit(coordinates: int, chains: int) -> float:
    """What `furthest_chain` stays below for all coordinates of sound chains, 999 times in 1,000."""
    return float(-stdtrit(max(chains - 2, 1), 0.5 * FALSE_ALARM / (coordinates * chains)))
