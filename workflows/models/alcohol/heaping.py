"""Counts that some people report rounded: a mixture over ways of reporting, for a shifted Poisson count.

A true count t = 1 + Poisson(exp(x)), x the log of the number expected beyond the first. It is reported as it is with
probability w_0, or rounded to the nearest value of a grid (ties upwards) with probability w_1 for half dozens and w_2
for round numbers. With g(t) the reported value,

    P(y) = w_0 p(y) + sum_k w_k sum of p(t) over the t with g_k(t) = y,
    p(t) = exp((t - 1) x - exp(x)) / (t - 1)!,

which sums to one over y, as every grid takes each count to one value. In log space, with q = p(t) / p(y) over the few
t around a reported y,

    log P(y) = log p(y) + log(w_0 + sum_k w_k sum q).

Counts below 5 are reported as they are in every way: the second logarithm is 0 there, and is not evaluated.

The grids were chosen on the counts of the alcohol survey, with one normal law of x for all 26,708 known counts, by
maximum likelihood: minus log likelihoods of 43,709 with both grids, 43,854 with one grid of all the values, 43,871 with
half dozens alone and 44,432 without rounding. A Poisson count truncated at 1 instead of shifted by 1 is 115 worse.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import scipy.special
from numpyro.distributions import constraints

from kernels.numerics.special import log

Array = jax.Array

LARGEST = 600
"""End of the grids: counts above it are reported as they are."""

HALF_DOZENS = np.array([1, 2, 3, 4, *range(6, LARGEST + 1, 6)])
ROUND_NUMBERS = np.array([*range(1, 7), 8, 10, 12, 15, 20, 25, 30, *range(40, LARGEST + 1, 10)])

GRIDS = (HALF_DOZENS, ROUND_NUMBERS)
WAYS = ("exact", "half dozens", "round numbers")
"""Ways of reporting, in the order of the weights."""


def rounded(counts: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The nearest value of the grid to each count (ties upwards); counts above LARGEST as they are."""
    nearest = grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, counts, side="right")]
    return np.where(counts > LARGEST, counts, nearest)


_COUNTS = np.arange(1, LARGEST + 1)
_REPORTS = np.stack([_COUNTS, *(rounded(_COUNTS, grid) for grid in GRIDS)])
"""[3, LARGEST]: what each true count is reported as, in each way."""


class Tables(NamedTuple):
    """What the likelihood needs to know of N reported counts y and no parameter enters.

    further: [N] y - 1. constant: [N] -log (y - 1)!. Of the M counts that not every way of reporting leaves alone, over
    the true counts t around each, T at most: heaped: [M] which they are. place: [N] their columns, M for the others.
    step: [T, M] t - y. ratio: [T, M] log (y - 1)! / (t - 1)!, -inf where there is no further t. ways: [3, T, M] 1 where
    t is reported as y in that way, else 0.
    """

    further: np.ndarray
    constant: np.ndarray
    heaped: np.ndarray
    place: np.ndarray
    step: np.ndarray
    ratio: np.ndarray
    ways: np.ndarray


def tables(counts: np.ndarray) -> Tables:
    """The tables of reported counts [N]. Raises ValueError where one is no whole number from 1."""
    counts = np.asarray(counts)
    if counts.size and (counts.min() < 1 or (counts != np.floor(counts)).any()):
        raise ValueError("a reported count is below 1 or no whole number: leave out those that are not known")
    windows = {int(y): _sources(y) for y in np.unique(counts)}
    windows = {y: (true, ways) for y, (true, ways) in windows.items() if not ways.all()}
    heaped = np.flatnonzero(np.isin(counts, list(windows)))
    place = np.full(counts.size, heaped.size)
    place[heaped] = np.arange(heaped.size)
    size = max((true.size for true, _ in windows.values()), default=1), heaped.size
    step, ratio, reported_so = np.zeros(size), np.full(size, -np.inf), np.zeros((len(WAYS), *size))
    for y, (true, ways) in windows.items():
        rows, here = slice(true.size), np.flatnonzero(counts[heaped] == y)
        step[rows, here] = (true - y)[:, None]
        ratio[rows, here] = (scipy.special.gammaln(y) - scipy.special.gammaln(true))[:, None]
        reported_so[:, rows, here] = ways[:, :, None]
    return Tables(counts - 1.0, -scipy.special.gammaln(counts), heaped, place, step, ratio, reported_so)


def _sources(reported: int) -> tuple[np.ndarray, np.ndarray]:
    """The true counts [n] that may be reported so, and in which ways they are, [3, n]."""
    if reported > LARGEST:
        return np.array([reported]), np.ones((len(WAYS), 1), bool)
    ways = np.equal(_REPORTS, reported)
    possible = ways.any(axis=0)
    return _COUNTS[possible], ways[:, possible]


def log_probability(propensity: Array, weights: Array, known: Tables) -> Array:
    """log P(y) of the tables' counts [N] given x [N] (propensity) and the weights [3] of the ways of reporting."""
    sources = jnp.tensordot(weights, known.ways, axes=1)
    # y itself is among the sources, with exponent 0: the largest exponent is 0 or more, and the sum above w_0 e^-top.
    exponent = known.step * propensity[known.heaped] + known.ratio
    top = jax.lax.stop_gradient(jnp.max(exponent, axis=0))
    factor = top + log(jnp.sum(sources * jnp.exp(exponent - top), axis=0))
    beyond = jnp.concatenate([factor, jnp.zeros(1)])[known.place]
    return known.further * propensity - jnp.exp(propensity) + known.constant + beyond


def true_counts(key: jax.Array, propensity: Array) -> Array:
    """Counts before they are reported, of people with these propensities, any shape: 1 + Poisson(exp(x))."""
    return 1 + jax.random.poisson(key, jnp.exp(propensity))


class HeapedCounts(dist.Distribution):
    """Reported counts y given propensities x [N] and weights [3], summing to one, of the ways of reporting.

    known: the tables of the observed counts, which must be made outside a compiled function.
    """

    arg_constraints: ClassVar = {"propensity": constraints.real_vector, "weights": constraints.simplex}
    support = constraints.positive_integer

    def __init__(
        self, propensity: Array, weights: Array, *, known: Tables | None = None, validate_args: bool | None = None
    ) -> None:
        self.propensity, self.weights, self.known = propensity, weights, known
        super().__init__(batch_shape=jnp.shape(propensity), validate_args=validate_args)

    def log_prob(self, value: Array) -> Array:
        """Log probability of reported counts [N]."""
        known = tables(np.asarray(value)) if self.known is None else self.known
        return log_probability(self.propensity, self.weights, known)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """True counts, each reported in a way drawn for it."""
        shape = sample_shape + self.batch_shape
        count_key, way_key = jax.random.split(key)
        true = true_counts(count_key, jnp.broadcast_to(self.propensity, shape))
        way = jax.random.categorical(way_key, jnp.log(self.weights), shape=shape)
        return jnp.where(true > LARGEST, true, jnp.asarray(_REPORTS)[way, jnp.minimum(true, LARGEST) - 1])
