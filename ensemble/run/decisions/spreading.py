"""Whether the ensemble spreads without end: a posterior that is improper has no scale for it to find."""

import numpy as np

from ensemble.run.decisions.settling import has_settled

WINDOW = 3
"""Rounds that are compared with as many before them."""

GROWING = np.log(2.0)
"""Growth of a log spread from one window to the next that is no noise of few replicas."""

ENDLESS, BOUNDLESS = np.log(1e8), np.log(1e12)
"""Growth since the start that no proper posterior asks for: where all else stands still, and whatever else moves."""

Spreads = tuple[tuple[float, ...], ...]
"""For each round and level the largest log spread of a coordinate, see diagnostics.spreads."""


def is_growing(spreads: Spreads, window: int = WINDOW) -> np.ndarray:
    """Of each level, whether the largest spread has doubled between the last two windows of rounds, [levels]."""
    if len(spreads) < 2 * window:
        return np.zeros(len(spreads[0]) if spreads else 0, bool)
    last = np.asarray(spreads[-2 * window :], float)
    grown: np.ndarray = last[window:].mean(axis=0) - last[:window].mean(axis=0) > GROWING
    return grown


def endless(
    spreads: Spreads,
    first: tuple[float, ...],
    trace: tuple[tuple[tuple[float, ...], ...], ...],
    dimension: int,
    replicas: int,
) -> list[int]:
    """The levels that spread without end: 1e8 times as wide as the run began, still growing, and no term of the
    log density moves with it; or 1e12 times in any case.

    Heavy tails do not reach as far: the log sd of 30 draws of a Cauchy has a mean of 2.1 and a standard deviation of
    1.1, and `spreads` are of means over superchains. A proper posterior is called improper only where it is 1e8 times
    as wide as 1 and as its starts, and not reached yet.
    first: for each level the log spread of the starts.
    """
    if not spreads or not is_growing(spreads).any():
        return []
    grown = np.asarray(spreads[-1], float) - np.asarray(first, float)
    enough = ENDLESS if has_settled(trace, dimension, replicas, WINDOW) else BOUNDLESS
    return [int(level) for level in np.flatnonzero(is_growing(spreads) & (grown > enough))]
