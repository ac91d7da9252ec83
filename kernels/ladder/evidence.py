"""Log evidence from a ladder that tempers the likelihood alone, in O(rungs) sums that are kept along the run.

Rung k has density proportional to prior x L^{b_k}, 1 = b_0 > ... > b_K = 0, and Z(b) is its constant, so that
log Z(1) is the log evidence and Z(0) = 1. With d_k = b_k - b_{k+1}, for each pair of neighbours:
stepping stone  Z(b_k) / Z(b_{k+1}) = E_{k+1} L^{d_k}                             Xie, Lewis, Fan, Kuo and Chen (2011)
reverse         Z(b_k) / Z(b_{k+1}) = 1 / E_k L^{-d_k}
bridge          Z(b_k) / Z(b_{k+1}) = E_{k+1} L^{d_k / 2} / E_k L^{-d_k / 2}      Meng and Wong (1996), geometric bridge
The first two lean on opposite tails: where they differ by more than their errors, neighbours overlap too little and
none of the errors is to be trusted. The bridge meets in the middle and needs the least overlap.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Sums = jax.Array | np.ndarray


class Stones(NamedTuple):
    """Sums over draws by pair of neighbours k, [K], for one superchain; stacked, a leading axis of superchains [S, K].

    hot, hot_half: log sum over draws of rung k + 1 of L^{d_k} and L^{d_k / 2}; cold, cold_half: log sum over draws of
    rung k of L^{-d_k} and L^{-d_k / 2}; draws: of each rung, a scalar ([S]). The betas must not change meanwhile.
    """

    hot: Sums
    hot_half: Sums
    cold: Sums
    cold_half: Sums
    draws: Sums


class Estimate(NamedTuple):
    """value and its standard error (NaN from a single superchain), both in nats."""

    value: float
    error: float


class Evidence(NamedTuple):
    """The log evidence in three ways, see the head of this file."""

    stepping_stone: Estimate
    reverse: Estimate
    bridge: Estimate


def first_stones(rungs: int) -> Stones:
    """Before any draw."""
    nothing = jnp.full(rungs - 1, -jnp.inf)
    return Stones(nothing, nothing, nothing, nothing, jnp.zeros((), jnp.int64))


def absorb(stones: Stones, betas: jax.Array, log_likelihood: jax.Array) -> Stones:
    """Add the draws of one sweep of one superchain. betas: [R]; log_likelihood: [R, n], n draws of every rung."""
    step = (betas[:-1] - betas[1:])[:, None]
    cold, hot = log_likelihood[:-1], log_likelihood[1:]
    logs = (step * hot, 0.5 * step * hot, -step * cold, -0.5 * step * cold)
    sums = [jax.scipy.special.logsumexp(values, axis=1) for values in logs]
    return merge(stones, Stones(*[*sums, jnp.asarray(log_likelihood.shape[1])]))


def merge(one: Stones, other: Stones) -> Stones:
    """The sums over the draws of both."""
    sums = [jnp.logaddexp(a, b) for a, b in zip(one[:-1], other[:-1], strict=True)]
    return Stones(*[*sums, one.draws + other.draws])


def log_evidence(stones: Stones, betas: np.ndarray) -> Evidence:
    """The evidence from stones [S, K] of S independent superchains; betas [K + 1] as they were absorbed.

    The draws of all superchains are pooled within each pair. The delete-one jackknife over superchains takes off the
    bias of order 1 / S that the logarithm of a mean has, and gives the error: superchains are independent, their draws
    and rungs are not, and leaving out a superchain with all its rungs keeps what ties them. The error has S - 1
    degrees of freedom: at 8 superchains value +- 2.36 errors covers 95%.

    Raises ValueError for betas that do not fall from 1 to 0, and for a superchain without draws or without one of
    positive likelihood at some rung.
    """
    sums = Stones(*(np.asarray(values) for values in stones))
    _check(sums, np.asarray(betas, float))
    value, error = _jackknife(sums)
    return Evidence(*(Estimate(float(v), float(e)) for v, e in zip(value, error, strict=True)))


def _jackknife(stones: Stones) -> tuple[np.ndarray, np.ndarray]:
    """Values and errors [3] of the estimators: S t - (S - 1) mean t_s and sqrt((S - 1) / S sum (t_s - mean t_s)^2)."""
    size, pooled = np.size(stones.draws), _log_ratios(stones)
    if size == 1:
        return pooled, np.full(3, np.nan)
    without = [_log_ratios(Stones(*(np.delete(values, s, axis=0) for values in stones))) for s in range(size)]
    # Differences from the pooled value: the log evidence may be 1e6, its error 1e-3.
    left = np.stack(without) - pooled
    mean = left.mean(axis=0)
    return pooled - (size - 1) * mean, np.sqrt((size - 1) / size * np.square(left - mean).sum(axis=0))


def _log_ratios(stones: Stones) -> np.ndarray:
    """log Z(1) / Z(0) by stepping stone, reverse and bridge, [3], the superchains pooled."""
    log_count = np.log(np.sum(stones.draws))
    hot, hot_half, cold, cold_half = (_log_sum(np.asarray(sums)) - log_count for sums in stones[:-1])
    return np.array([np.sum(hot), -np.sum(cold), np.sum(hot_half - cold_half)])


def _log_sum(logs: np.ndarray) -> np.ndarray:
    """log sum exp over the first axis, of finite numbers."""
    largest = logs.max(axis=0)
    total: np.ndarray = largest + np.log(np.exp(logs - largest).sum(axis=0))
    return total


def _check(stones: Stones, betas: np.ndarray) -> None:
    """Refuse what gives no evidence."""
    if len(betas) < 2 or betas[0] != 1.0 or betas[-1] != 0.0 or not (np.diff(betas) < 0).all():
        raise ValueError(
            f"betas are {betas}: the log evidence needs a ladder that tempers the likelihood alone and falls from "
            "beta = 1 to beta = 0, the prior"
        )
    if np.shape(stones.hot) != (np.size(stones.draws), len(betas) - 1):
        raise ValueError(f"sums of shape {np.shape(stones.hot)} were given for {len(betas)} betas; needed is [S, K]")
    _check_draws(stones, betas)


def _check_draws(stones: Stones, betas: np.ndarray) -> None:
    """Refuse a pair of neighbours that some superchain says nothing about."""
    if not (np.asarray(stones.draws) > 0).all():
        raise ValueError(f"superchains have {stones.draws} draws: each needs at least one")
    unseen = ~np.isfinite(stones[:-1]).all(axis=(0, 1))
    if unseen.any():
        raise ValueError(
            f"between betas {betas[:-1][unseen]} and the next hotter ones some superchain has no draw of a positive, "
            "finite likelihood: add rungs there, or run longer"
        )
