"""Whether the ensemble has settled: it moves no more, its energy is in balance, its stragglers are home."""

import numpy as np

SETTLED = 0.25
"""What moved by less than this many standard deviations of one replica has settled, but for its noise."""

NOISE = 2.0
"""Standard errors of a move that noise alone explains: few replicas, or slow modes, never stand still."""

BALANCED = 0.1
"""Distance of the mean virial from 1 that still counts as equilibrium, but for its noise."""

APPROACH = 0.5
"""Share of their distances that superchains in equilibrium keep from one quarter of the rounds to the next: less by
chance once in 20 times, for a slow quantity, and the question is asked again in the next round."""

GATHERED = 3
"""Rounds over which stragglers are counted."""

HEAVY = 2.0
"""Stragglers by chance where tails are heavier than normal, over those where they are normal."""


def has_settled(trace: tuple[tuple[tuple[float, ...], ...], ...], dimension: int, replicas: int, window: int) -> bool:
    """Whether the ensemble has stopped moving between the last two windows of rounds.

    trace: for each round and superchain the means over its `replicas` of the log density and of each term's sum. The
    log density of d near-normal coordinates has a standard deviation of about sqrt(d / 2), which is its unit; a term's
    is its spread over the replicas, and shows slow shared parameters that the total hides. A move counts beyond NOISE
    standard errors, taken from the superchains.
    """
    if len(trace) < 2 * window:
        return False
    last = np.asarray(trace[-2 * window :], float)
    moved = last[window:].mean(axis=0) - last[:window].mean(axis=0)
    error = moved.std(axis=0, ddof=1) / np.sqrt(len(moved))
    unit = np.sqrt(replicas) * last[window:].std(axis=1, ddof=1).mean(axis=0)
    unit[0] = np.sqrt(dimension / 2)
    return bool(np.all(np.abs(moved.mean(axis=0)) <= SETTLED * unit + NOISE * error))


def superchains_approach(trace: tuple[tuple[tuple[float, ...], ...], ...]) -> bool:
    """Whether superchains still come towards each other: those from both sides leave the mean over all where it is, and
    their distance from it passes for its error.

    trace: as in has_settled. Looked at are the last quarter of the rounds and the one before it: the standard deviation
    over superchains of their means there, of the log density and of each term, has fallen to less than APPROACH, from
    more than rounds differ within a superchain. Superchains in modes of their own stay apart, and hold nothing up.
    """
    window = len(trace) // 4
    if window < 2:
        return False
    last = np.asarray(trace[-2 * window :], float)
    before, now = last[:window], last[window:]
    apart, left = (part.mean(axis=0).std(axis=0, ddof=1) for part in (before, now))
    noise = np.sqrt(now.var(axis=0, ddof=1).mean(axis=0))
    return bool(np.any((left < APPROACH * apart) & (apart > noise)))


def is_balanced(virial: tuple[tuple[float, ...], ...]) -> bool:
    """Whether the ensemble's energy is in equilibrium with the force: E[-x.g] = p for any origin of x (equipartition).

    It sees a bias that stands still. virial: for each superchain, -x.g / p of each level that follows the gradient.
    """
    means = np.asarray(virial, float)
    if not means.size:
        return True
    error = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    return bool(np.all(np.abs(means.mean(axis=0) - 1.0) <= BALANCED + NOISE * error))


def is_gathered(relocated: tuple[int, ...], share: float, replicas: int) -> bool:
    """Whether the last rounds found no more stragglers than chance has: `share` of the replicas where the density is
    normal (stragglers.by_chance), twice that where it has heavier tails, and what is noise."""
    last = relocated[-GATHERED:]
    expected = HEAVY * share * replicas * len(last)
    return bool(sum(last) <= expected + NOISE * np.sqrt(expected))
