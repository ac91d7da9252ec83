"""Steering a scale by the acceptance that was seen: stochastic approximation, the same for all kernels."""

import numpy as np
from scipy.special import ndtri


def target_acceptance(sizes: np.ndarray) -> np.ndarray:
    """Of random walks on blocks of these sizes: 0.44 for one coordinate, falling towards 0.234.

    Source: Gelman, Roberts and Gilks (1996), Bayesian Statistics 5, 599-607.
    """
    return 0.234 + 0.206 / sizes


def gain(round_: int) -> float:
    """Step of the stochastic approximation in a phase's round (a phase: a stage, or what follows its settling)."""
    return 3.0 / (1.0 + round_) ** 0.6


def recent(round_: int) -> float:
    """Weight of a round in a mean of which about the last third of the rounds counts."""
    return min(1.0, 3.0 / (round_ + 3.0))


def steered(
    log_value: np.ndarray, seen: np.ndarray, wanted: np.ndarray | float, round_: int, share: float = 1.0
) -> np.ndarray:
    """One step where something was seen. Source: Robbins and Monro (1951), Ann. Math. Statist. 22, 400-407."""
    return np.where(np.isnan(seen), log_value, log_value + share * gain(round_) * (np.nan_to_num(seen) - wanted))


HOPELESS = 0.1
"""Acceptance below which a step size is far too large."""

MOST = 1.5
"""Largest change of a log step size in a round."""


def steered_step(log_step: np.ndarray, seen: np.ndarray, wanted: np.ndarray | float, round_: int) -> np.ndarray:
    """One step towards the step size of trajectories that are accepted as often as wanted, where something was seen.

    The energy error of a trajectory is about normal with a standard deviation s that grows as h^2, and a mean of
    s^2 / 2, so that the mean acceptance is a = 2 Phi(-s / 2) (Beskos et al. 2013, Bernoulli 19, 1501-1534): the step
    size wanted is h sqrt(s(wanted) / s(seen)). A share 1 / (1 + round)^0.6 of the way there is gone, all of it where
    next to nothing is accepted, as after a metric that was no good: nothing moves until the step is right.
    """
    known = ~np.isnan(seen)
    share = np.where(known & (seen < HOPELESS), 1.0, 1.0 / (1.0 + round_) ** 0.6)
    far = 0.5 * np.log(_error(np.asarray(wanted)) / _error(np.where(known, seen, wanted)))
    return log_step + share * np.clip(np.where(known, far, 0.0), -MOST, MOST)


def _error(acceptance: np.ndarray) -> np.ndarray:
    """The standard deviation of the energy error at a mean acceptance."""
    error: np.ndarray = -2.0 * ndtri(0.5 * np.clip(acceptance, 1e-6, 1.0 - 1e-4))
    return error
