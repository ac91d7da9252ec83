"""Census: quantiles of the residuals, over the country and by state."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family

LEVELS = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)
"""Quantiles over the country."""
BY_STATE = {0.05: 0.25, 0.5: 0.1, 0.95: 0.25}
"""Quantiles by state, and what matters of each, in units of sigma."""
MATTERS = np.array([1.0, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 1.0])
"""What matters of those over the country, in units of sigma."""


def checks(state_of_worker: np.ndarray, states: np.ndarray) -> tuple[Check, ...]:
    """state_of_worker: [worker] index into the names `states`."""
    return (_country(), *(_by_state(level, matters, state_of_worker, states) for level, matters in BY_STATE.items()))


def residuals(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
    """(log income - expected) / sigma, [worker]."""
    coefficients = values["coefficients"][data["area"]]
    return (outcomes["y"] - jnp.sum(data["covariates"].T * coefficients, axis=1)) / values["sigma"]


def _country() -> Check:
    family = Family(
        "quantiles of the residuals",
        tuple(f"{100 * level:g}%" for level in LEVELS),
        MATTERS,
        about="Quantiles of (log income - expected) / sigma over all workers.",
        ordered=True,
    )

    def statistic(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        return jnp.quantile(residuals(outcomes, values, data), jnp.asarray(LEVELS))

    return Check(family, statistic)


def _by_state(level: float, matters: float, state_of_worker: np.ndarray, states: np.ndarray) -> Check:
    workers = np.bincount(state_of_worker, minlength=len(states))
    # Residuals sorted within states that stand one after the other: the place of each state's quantile.
    places = np.cumsum(workers) - workers + np.round(level * (workers - 1)).astype(int)
    there = np.flatnonzero(workers)
    family = Family(
        f"{100 * level:g}% quantile of the residuals by state",
        tuple(str(states[state]) for state in there),
        matters,
        about=f"Of (log income - expected) / sigma, in each of {len(there)} states.",
    )

    def statistic(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        order = jnp.lexsort((found := residuals(outcomes, values, data), state_of_worker))
        return found[order[places[there]]]

    return Check(family, statistic)
