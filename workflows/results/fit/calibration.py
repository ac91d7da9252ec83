"""Whether observations lie among their own predictions as often as they should: calibration.

The rank of an observation among the DATA_SETS predictions of it, ties broken at random, is uniform under the model: the
probability integral transform of every observation (Dawid 1984; Czado, Gneiting and Held 2009 for counts). The same of
every data set among the others and the data is what the shares are judged against, so that observations that
depend on each other raise no false alarm.

A model with many parameters for its data follows single observations: they then lie nearer to the middle of their own
predictions than new ones would. That is no misfit, so only too many in the tails count there.
"""

import math

import numpy as np

from workflows.modelling.checks import Family
from workflows.modelling.model import Model
from workflows.results.fit.replicates import Points, Replicated

MOST = 20_000
"""Observations of each variable that are ranked at most, evenly spaced."""
MATTERS = 0.02
"""Share of observations."""
_EDGES = (0.05, 0.25, 0.75, 0.95)
_LABELS = ("below their 5%", "in their middle half", "above their 95%")
_PURPOSE = 0x917


def places(observed: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Flat indices of the observations to rank; kept: [n] which of them count."""
    possible = np.flatnonzero(kept.ravel())
    return possible[:: max(1, math.ceil(len(possible) / MOST))]


def calibration(model: Model, points: Points, name: str, seed: int) -> Replicated:
    """Shares of observations in the tails and in the middle of their own predictions. name: of the family."""
    everything = np.vstack([points.observed[None], points.predicted])
    rng = np.random.default_rng([seed, _PURPOSE])
    shares = np.stack([_shares(column) for column in _ranks(everything, rng)])
    latent = sum(math.prod(s.shape) for n, s in model.target.sites.items() if n not in model.target.auxiliary)
    follows = latent**2 > points.observed.size
    family = Family(
        name,
        _LABELS,
        MATTERS,
        share=True,
        side=np.array([1, -1, 1]) if follows else 0,
        about=f"Of {points.observed.size:,} observations, ranked among {len(points.predicted)} predictions of each; "
        "5%, 50% and 5% are expected"
        + (", or fewer in the tails as the model has parameters for single observations." if follows else "."),
    )
    return Replicated(family, shares[0], shares[1:])


def _ranks(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ranks of values [data set, n] among the data sets, as uniform numbers in (0, 1): [data set, n]."""
    order = np.lexsort((rng.random(values.shape), values), axis=0)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(values))[:, None], axis=0)
    return (ranks + 0.5) / len(values)


def _shares(uniform: np.ndarray) -> np.ndarray:
    """Shares [3] of [n]."""
    low, lower, upper, high = _EDGES
    return np.array([(uniform < low).mean(), ((uniform > lower) & (uniform < upper)).mean(), (uniform > high).mean()])
