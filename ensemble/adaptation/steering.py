"""Steering a scale by the acceptance that was seen: stochastic approximation, the same for all kernels."""

import numpy as np


def target_acceptance(sizes: np.ndarray) -> np.ndarray:
    """Of random walks on blocks of these sizes: 0.44 for one coordinate, falling towards 0.234.

    Source: Gelman, Roberts and Gilks (1996), Bayesian Statistics 5, 599-607.
    """
    return 0.234 + 0.206 / sizes


def gain(round_: int) -> float:
    """Step of the stochastic approximation in a phase's round (a phase: a stage, or what follows its settling)."""
    return 3.0 / (1.0 + round_) ** 0.6


def steered(
    log_value: np.ndarray, seen: np.ndarray, wanted: np.ndarray | float, round_: int, share: float = 1.0
) -> np.ndarray:
    """One step where something was seen. Source: Robbins and Monro (1951), Ann. Math. Statist. 22, 400-407."""
    return np.where(np.isnan(seen), log_value, log_value + share * gain(round_) * (np.nan_to_num(seen) - wanted))
