"""ESS by batch means and nested R-hat from the shards' accumulators: pure NumPy, merged in shard order."""

from typing import NamedTuple

import numpy as np
from scipy.special import gammaincinv

from ensemble.diagnostics.accumulators import DiagnosticSums
from ensemble.diagnostics.single_chains import furthest_chain
from ensemble.protocol import events
from ensemble.protocol.statistics import AccumulatedSums, ByLevel

BATCHES = 20
"""Fewest batches a chain for an ESS."""
Z = 4.5
"""Standard errors that longer batches must exceed to count."""
ROUNDING = 1e-12
"""A variance below this share of the mean square is rounding: the coordinate never moved; its ESS and R-hat are NaN."""


class Diagnostics(NamedTuple):
    """How far the chains have come, by level.

    rounds: how many they are over.
    states: how many states of all chains these are.
    ess: effective sample size by batch means of each coordinate [p, B] (`ess_online`).
    rhat: nested R-hat of each coordinate [p, B].
    furthest: how far the most outlying chain's mean lies from the others', see single_chains, [p, B].
    drift: mean of the first part of the stage against that of the rest, in standard errors, [p, B]; NaN before the
        stage has twice been looked at.
    superchain: the one whose mean lies furthest from that of all, [p, B].
    tail_ess: the smaller of the effective sample sizes of how often a coordinate lies in its lower and upper tail, see
        protocol.events, [p, B] of levels whose tails are looked at; NaN where there is no such tail.
    tail_rhat: the larger nested R-hat of the two: it sees what superchains of one mean and of unequal widths hide.
    positive: share of the states above zero, [p, B].
    log_density_ess: effective sample size of the log density; NaN before it is known.
    log_density_rhat: nested R-hat of it.
    """

    rounds: int
    states: int
    ess: ByLevel
    rhat: ByLevel
    furthest: ByLevel
    drift: ByLevel
    superchain: ByLevel
    tail_ess: ByLevel
    tail_rhat: ByLevel
    positive: ByLevel
    log_density_ess: float = np.nan
    log_density_rhat: float = np.nan


def rhat_limit(dimension: int, ess: float, superchains: int) -> float:
    """What nested R-hat of perfect chains stays below for all coordinates, 99 times in 100.

    sqrt(1 + K q / ess), q = quantile(1 - .01/d) of chi2 with K - 1 degrees of freedom over K - 1, for K superchains.
    """
    free = superchains - 1
    quantile = 2 * gammaincinv(free / 2, 1 - 0.01 / dimension)
    return float(np.sqrt(1 + superchains * quantile / free / ess))


def diagnose(
    shards: list[AccumulatedSums], diagnostic_sums: DiagnosticSums, replicas: int, sweeps: int, pull: float = 0.0
) -> Diagnostics:
    """From what the accumulators of each superchain pooled last, and the sums that `collect` keeps over all shards.

    replicas: in each superchain; sweeps: in each round; pull: by how many standard deviations one chain may move the
    mean of all before it counts as outlying.
    """
    found = {name: _diagnosed(name, shards, diagnostic_sums, replicas, sweeps, pull) for name in shards[0].sums}
    height = found.pop(events.LOG_DENSITY, None)
    tails = {name: (events.below(name), events.above(name)) for name in found if events.below(name) in found}
    levels = [name for name in found if name not in {event for both in tails.values() for event in both}]
    by_kind = {kind: {name: getattr(found[name], kind) for name in levels} for kind in Found._fields}
    states = shards[0].rounds * sweeps * replicas * len(shards)
    signs = {name: diagnostic_sums.squares.get(events.positive(name)) for name in levels}
    return Diagnostics(
        shards[0].rounds,
        states,
        **by_kind,
        tail_ess={name: np.fmin(found[low].ess, found[high].ess) for name, (low, high) in tails.items()},
        tail_rhat={name: np.fmax(found[low].rhat, found[high].rhat) for name, (low, high) in tails.items()},
        positive={name: count / states for name, count in signs.items() if count is not None},
        log_density_ess=np.nan if height is None else float(height.ess[0, 0]),
        log_density_rhat=np.nan if height is None else float(height.rhat[0, 0]),
    )


class Found(NamedTuple):
    """Of the coordinates of a level, or of how often they lie in a tail, [p, B]: the fields of Diagnostics.

    ess, rhat, furthest, drift, superchain: see there.
    """

    ess: np.ndarray
    rhat: np.ndarray
    furthest: np.ndarray
    drift: np.ndarray
    superchain: np.ndarray


def _diagnosed(
    name: str, shards: list[AccumulatedSums], diagnostic_sums: DiagnosticSums, replicas: int, sweeps: int, pull: float
) -> Found:
    """What the sums of a name say."""
    rounds = shards[0].rounds
    draws, chains = rounds * sweeps, replicas * len(shards)
    sums = np.stack([pooled.sums[name] for pooled in shards])
    chain_squares = np.stack([pooled.chain_squares[name] for pooled in shards])
    squares, count = diagnostic_sums.squares[name], draws * chains
    total = sums.sum(axis=0)
    mean = total / count
    variance = (squares - count * mean**2) / (count - 1)
    asymptotic = _asymptotic_variance(diagnostic_sums, name, mean, variance, chains, rounds, sweeps)
    still = variance <= ROUNDING * squares / count
    with np.errstate(divide="ignore", invalid="ignore"):
        ess = np.where(still, np.nan, count * variance / asymptotic)
    # A constant coordinate's variance is rounding, of either sign.
    allowed = pull * count * np.sqrt(np.maximum(variance, 0.0))
    extremes = (
        np.stack([pooled.chain_largest[name] for pooled in shards]).max(axis=0),
        np.stack([pooled.chain_smallest[name] for pooled in shards]).min(axis=0),
    )
    return Found(
        ess=ess,
        rhat=np.where(still, np.nan, _nested_rhat(sums, squares, chain_squares, draws, replicas)),
        furthest=furthest_chain(total, chain_squares.sum(axis=0), *extremes, chains, allowed),
        drift=_drift(diagnostic_sums, name, total, asymptotic, chains * sweeps, rounds, allowed),
        superchain=np.abs(sums - sums.mean(axis=0)).argmax(axis=0).astype(float),
    )


def _asymptotic_variance(
    diagnostic_sums: DiagnosticSums,
    name: str,
    mean: np.ndarray,
    variance: np.ndarray,
    chains: int,
    rounds: int,
    sweeps: int,
) -> np.ndarray:
    """The variance in the central limit theorem from batch means, NaN before each chain has BATCHES batches.

    Batches deviate from the mean of the whole ensemble, so disagreement between chains counts. v(b), the variance of
    the means of batches of b sweeps times b, underestimates where b is not long against the autocorrelation time; so
    each v(b) is corrected as if the slow part were one exponential (see corrected). The base are the longest batches
    of which each chain has BATCHES. Longer ones, down to one a chain, may only raise the result, and only beyond their
    noise: they are lowered by Z standard errors, so that over 1e5 coordinates chance alone does not decide.
    """
    # A batch of one draw says nothing of autocorrelation.
    lengths = range(0 if sweeps > 1 else 1, rounds.bit_length())
    base = max((k for k in lengths if rounds >> k >= BATCHES), default=None)
    if base is None:
        return np.full(mean.shape, np.nan)
    result = np.zeros(mean.shape)
    for level in range(base, rounds.bit_length()):
        length, batches = sweeps << level, (rounds >> level) * chains
        estimate = _batch_variance(diagnostic_sums, name, mean, length, batches, level)
        noise = 1 + Z * np.sqrt(2 / (batches - 1)) if level > base else 1.0
        result = np.maximum(result, corrected(estimate / noise, variance, length))
    return result


def corrected(estimate: np.ndarray, variance: np.ndarray, length: int) -> np.ndarray:
    """The asymptotic variance whose batch means of `length` draws would show `estimate`, for autocorrelations rho^k.

    v(b) / variance = (1 + rho) / (1 - rho) - 2 rho (1 - rho^b) / (b (1 - rho)^2) is solved for rho in [0, 1) by a
    table; the result is variance (1 + rho) / (1 - rho), and the estimate itself where it is below the variance.
    """
    rho = 1 - np.logspace(0, -7, 400)
    time = (1 + rho) / (1 - rho)
    # -expm1(b log rho) is 1 - rho^b without cancellation.
    with np.errstate(divide="ignore"):
        seen = time + 2 * rho * np.expm1(length * np.log(rho)) / (length * (1 - rho) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = estimate / variance
    return np.where(ratio > 1, np.interp(ratio, seen, time) * variance, estimate)


def _batch_variance(
    diagnostic_sums: DiagnosticSums, name: str, mean: np.ndarray, length: int, batches: int, level: int
) -> np.ndarray:
    """length times the variance of the means of all finished batches of one batch level."""
    sums, squares = (part[name] for part in diagnostic_sums.batches[level])
    centred = squares - 2 * length * mean * sums + batches * (length * mean) ** 2
    variance: np.ndarray = centred / (length * (batches - 1))
    return variance


def _drift(
    marks: DiagnosticSums,
    name: str,
    total: np.ndarray,
    asymptotic: np.ndarray,
    each_round: int,
    rounds: int,
    allowed: np.ndarray,
) -> np.ndarray:
    """The difference of the means of a first part and of the rest, in standard errors, of the part for which it is
    largest (Geweke 1992, Bayesian Statistics 4, 169-193). total: of all rounds, each of which has `each_round` states.

    A stage that began a little too early has a short first part that is far off, which a part of a quarter or more
    dilutes; so shorter ones are looked at too, where they shift the sum of all by more than `allowed`: a few states of
    a heavy tail are far from normal, and do no harm in a stage that has become long.
    """
    worst = np.full(total.shape, np.nan)
    for first in (marks.first, *marks.earlier):
        if not 0 < first.rounds < rounds or name not in first.sums:
            continue
        before, after = each_round * first.rounds, each_round * (rounds - first.rounds)
        difference = first.sums[name] / before - (total - first.sums[name]) / after
        with np.errstate(divide="ignore", invalid="ignore"):
            z = difference / np.sqrt(asymptotic * (1.0 / before + 1.0 / after))
        harmless = first is not marks.first and np.abs(difference) * before <= allowed
        z = np.where(harmless, 0.0, z)
        worst = np.where(np.abs(z) > np.nan_to_num(np.abs(worst), nan=-1.0), z, worst)
    return worst


def _nested_rhat(
    sums: np.ndarray, squares: np.ndarray, chain_squares: np.ndarray, draws: int, replicas: int
) -> np.ndarray:
    """sqrt(1 + B / W): B variance between superchain means, W mean over superchains of the variance between their
    chains' means plus the mean variance within chains (Margossian, Hoffman, Sountsov, Riou-Durand, Vehtari, Gelman,
    Nested R-hat, 2024). sums, chain_squares: of each superchain; squares: of all."""
    superchains = len(sums)
    superchain_mean = sums / (draws * replicas)
    between = superchain_mean.var(axis=0, ddof=1)
    within_chains = (squares - chain_squares.sum(axis=0) / draws) / (superchains * replicas * max(draws - 1, 1))
    spread = np.maximum(chain_squares / draws**2 - replicas * superchain_mean**2, 0.0)
    between_chains = spread.mean(axis=0) / (replicas - 1) if replicas > 1 else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        rhat: np.ndarray = np.sqrt(1 + between / (within_chains + between_chains))
    return rhat
