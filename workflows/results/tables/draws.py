"""Draws of all chains in one axis, some of them where there are many, and their intervals as text."""

import numpy as np
import xarray

ROWS = 10
"""Rows of a table of strongest effects."""
INTERVAL = 0.95
"""Probability of the intervals of a table."""


def pooled(variable: xarray.DataArray, most: int | None = None) -> np.ndarray:
    """Draws [chain x draw, ...] of a posterior variable [chain, draw, ...] in double precision.

    most: how many are wanted at most. Evenly spaced draws of every chain are read, one of each at least.
    """
    chains, draws = variable.shape[:2]
    step = 1 if most is None else min(draws, -(-chains * draws // most))
    values = variable[:, step - 1 :: step].values
    return values.reshape(-1, *values.shape[2:]).astype(float)


def ends(draws: np.ndarray) -> np.ndarray:
    """Both ends of the middle INTERVAL of the draws (first axis): [2, ...]."""
    return np.asarray(np.quantile(draws, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0))


def interval(between: np.ndarray, form: str) -> str:
    """An interval as a table has it; between: its ends [2]; form: of them, as ".2f"."""
    return f"[{between[0]:{form}}, {between[1]:{form}}]"
