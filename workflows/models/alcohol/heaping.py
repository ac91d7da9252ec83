"""Counts that some people report rounded: a mixture over ways of reporting, for a shifted Poisson count.

A true count t = 1 + Poisson(exp(x)), x the log of the number expected beyond the first. It is reported as it is with
probability w_0, or rounded to the nearest value of a grid (ties upwards) with probability w_1 for half dozens, w_2 for
round numbers and w_3 for words: a couple (2), a few (3), half a dozen, dozens. With g(t) the reported value,

    P(y) = w_0 p(y) + sum_k w_k sum of p(t) over the t with g_k(t) = y,
    p(t) = exp((t - 1) x - exp(x)) / (t - 1)!,

which sums to one over y, as every grid takes each count to one value. In log space, with q = p(t) / p(y) over the few
t around a reported y,

    log P(y) = log p(y) + log(w_0 + sum_k w_k sum q).

The grids were chosen on the counts of the alcohol survey, with one normal law of x for all 26,708 known counts, by
maximum likelihood: minus log likelihoods of 43,709 with half dozens and round numbers, 43,854 with one grid of all the
values, 43,871 with half dozens alone and 44,432 without rounding. A Poisson count truncated at 1 instead of shifted by
1 is 115 worse.

Half dozens and round numbers alone predict 40.5% counts of 1 and 26.1% of 2, where 38.8% and 29.5% were seen. With the
mean of x free in each of 28 groups by age and sex, which remedy does most? Minus log likelihoods: 41,448 without one;
41,491 a rounded log-normal amount in place of the Poisson; 41,401 a COM-Poisson count (under-dispersed); 41,400 two
normal laws of x; 41,389 a skewed and long-tailed one; 41,375 a hurdle at 1 that depends on x; 41,357 some who report 1
as 2; 41,340 words, with one parameter more than no remedy: 38.9% and 29.2%, and counts of 4, which words make 3, fit.
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

WORDS = np.array([2, 3, 6, *range(12, LARGEST + 1, 12)])

GRIDS = (HALF_DOZENS, ROUND_NUMBERS, WORDS)
WAYS = ("exact", "half dozens", "round numbers", "words")
"""Ways of reporting, in the order of the weights; a model may have the first few of them."""


def rounded(counts: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The nearest value of the grid to each count (ties upwards); counts above LARGEST as they are."""
    nearest = grid[np.searchsorted((grid[1:] + grid[:-1]) / 2, counts, side="right")]
    return np.where(counts > LARGEST, counts, nearest)


_COUNTS = np.arange(1, LARGEST + 1)
_REPORTS = np.stack([_COUNTS, *(rounded(_COUNTS, grid) for grid in GRIDS)])
"""[4, LARGEST]: what each true count is reported as, in each way."""


class Near(NamedTuple):
    """What lies behind each of N reported counts y, where that is y itself and one other true count t at most.

    step: [N] t - y. ratio: [N] log (y - 1)! / (t - 1)!. own, other: [W, N] 1 where y, or t, is reported as y in that
    way, else 0. For a count with more behind it: y alone, in every way.
    """

    step: np.ndarray
    ratio: np.ndarray
    own: np.ndarray
    other: np.ndarray


class Sources(NamedTuple):
    """The true counts t, T at most, behind each of M reported counts y.

    heaped: [M] which of the N counts they are. step: [T, M] t - y. ratio: [T, M] log (y - 1)! / (t - 1)!, -inf where
    there is no further t. ways: [W, T, M] 1 where t is reported as y in that way, else 0.
    """

    heaped: np.ndarray
    step: np.ndarray
    ratio: np.ndarray
    ways: np.ndarray


class Tables(NamedTuple):
    """What the likelihood needs to know of N reported counts y and no parameter enters.

    further: [N] y - 1. constant: [N] -log (y - 1)!. near: of most counts, element by element: look-ups of that many
    take longer than all else. wide: of counts with more than one other true count behind them.
    """

    further: np.ndarray
    constant: np.ndarray
    near: Near
    wide: Sources


def tables(counts: np.ndarray, ways: int = len(WAYS)) -> Tables:
    """The tables of reported counts [N], for the first W = `ways` ways of reporting.

    Raises ValueError where a count is no whole number from 1.
    """
    counts = np.asarray(counts)
    if counts.size and (counts.min() < 1 or (counts != np.floor(counts)).any()):
        raise ValueError("a reported count is below 1 or no whole number: leave out those that are not known")
    windows = {int(y): _window(y, ways) for y in np.unique(counts)}
    few = {y: window for y, window in windows.items() if window[0].size <= 2}
    return Tables(
        counts - 1.0,
        -scipy.special.gammaln(counts),
        _near(counts, few, ways),
        _sources(counts, {y: windows[y] for y in windows.keys() - few}, ways),
    )


Window = tuple[np.ndarray, np.ndarray]
"""The true counts [n] that may be reported as a count, and in which ways they are, [W, n]."""


def _near(counts: np.ndarray, windows: dict[int, Window], ways: int) -> Near:
    """Of all counts, those with a window told apart."""
    size = counts.size
    found = Near(np.zeros(size), np.zeros(size), np.ones((ways, size)), np.zeros((ways, size)))
    for y, (true, so) in windows.items():
        here = np.flatnonzero(counts == y)
        found.own[:, here] = so[:, true == y]
        for t in true[true != y]:
            found.step[here] = t - y
            found.ratio[here] = _log_ratio(y, t)
            found.other[:, here] = so[:, true == t]
    return found


def _sources(counts: np.ndarray, windows: dict[int, Window], ways: int) -> Sources:
    """Of the counts that have one of the windows."""
    heaped = np.flatnonzero(np.isin(counts, list(windows)))
    size = max((true.size for true, _ in windows.values()), default=1), heaped.size
    step, ratio, reported_so = np.zeros(size), np.full(size, -np.inf), np.zeros((ways, *size))
    for y, (true, so) in windows.items():
        rows, here = slice(true.size), np.flatnonzero(counts[heaped] == y)
        step[rows, here] = (true - y)[:, None]
        ratio[rows, here] = _log_ratio(y, true)[:, None]
        reported_so[:, rows, here] = so[:, :, None]
    return Sources(heaped, step, ratio, reported_so)


def _log_ratio(reported: int, true: np.ndarray) -> np.ndarray:
    """log (y - 1)! / (t - 1)!."""
    return np.asarray(scipy.special.gammaln(reported) - scipy.special.gammaln(true))


def _window(reported: int, ways: int) -> Window:
    if reported > LARGEST:
        return np.array([reported]), np.ones((ways, 1), bool)
    so = np.equal(_REPORTS[:ways], reported)
    possible = so.any(axis=0)
    return _COUNTS[possible], so[:, possible]


def log_probability(propensity: Array, weights: Array, known: Tables) -> Array:
    """log P(y) of the tables' counts [N] given x [N] (propensity) and the weights [W] of the ways of reporting."""
    # Written out: a product of matrices of so few rows is not vectorised.
    own, other = (sum(weights[w] * part[w] for w in range(len(part))) for part in (known.near.own, known.near.other))
    near = log(own + other * jnp.exp(known.near.step * propensity + known.near.ratio))
    single = known.further * propensity - jnp.exp(propensity) + known.constant + near
    return single.at[known.wide.heaped].add(_log_factor(propensity[known.wide.heaped], weights, known.wide))


def _log_factor(propensity: Array, weights: Array, known: Sources) -> Array:
    """log of the sum over ways and sources, [M]."""
    sources = jnp.tensordot(weights, known.ways, axes=1)
    # y itself is among the sources, with exponent 0: the largest exponent is 0 or more, and the sum above w_0 e^-top.
    exponent = known.step * propensity + known.ratio
    top = jax.lax.stop_gradient(jnp.max(exponent, axis=0))
    return top + log(jnp.sum(sources * jnp.exp(exponent - top), axis=0))


def true_counts(key: jax.Array, propensity: Array) -> Array:
    """Counts before they are reported, of people with these propensities, any shape: 1 + Poisson(exp(x))."""
    return 1 + jax.random.poisson(key, jnp.exp(propensity))


class HeapedCounts(dist.Distribution):
    """Reported counts y given propensities x [N] and weights [W], summing to one, of the first W ways of reporting.

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
        known = tables(np.asarray(value), self.weights.shape[-1]) if self.known is None else self.known
        return log_probability(self.propensity, self.weights, known)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """True counts, each reported in a way drawn for it."""
        shape = sample_shape + self.batch_shape
        count_key, way_key = jax.random.split(key)
        true = true_counts(count_key, jnp.broadcast_to(self.propensity, shape))
        way = jax.random.categorical(way_key, jnp.log(self.weights), shape=shape)
        return jnp.where(true > LARGEST, true, jnp.asarray(_REPORTS)[way, jnp.minimum(true, LARGEST) - 1])
