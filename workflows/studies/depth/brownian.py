"""Brownian motion with unknown scales, seen with noise at its ends but not in its middle: d = 32.

log a, log b ~ N(0, 2), x_t ~ N(x_{t-1}, a) from x_{-1} = 0 for 30 steps, y_t ~ N(x_t, b) at steps 0-9 and 20-29: the
Inference Gym's BrownianMotionUnknownScalesMissingMiddleObservations on simulated data (a = 0.1, b = 0.15), with the
scales by their logarithms. Given the scales the path is Gaussian: a sum over a grid of scales gives the moments.
"""

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position, Terms
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model
from workflows.studies.depth.bias import Moments

STEPS, SEEN = 30, 10
SCALES = (0.1, 0.15)
"""Innovation and observation noise of the simulated data."""
_SEED = 20240612
_GRID = np.linspace(-12.0, 5.0, 171)


def simulate() -> np.ndarray:
    """Observations at the first and the last ten steps, [20]."""
    rng = np.random.default_rng(_SEED)
    path = SCALES[0] * rng.standard_normal(STEPS).cumsum()
    return _seen(path) + SCALES[1] * rng.standard_normal(2 * SEEN)


def _seen(path: np.ndarray) -> np.ndarray:
    """The observed steps of a path."""
    return np.concatenate([path[:SEEN], path[-SEEN:]])


def moments() -> Moments:
    """The moments, by the trapezoidal rule over both log scales on (-12, 5): good to 1e-6 of each.

    With s = (log a, log b): p(s | y) ~ p(s) N(y; 0, a^2 K + b^2 I), K_tu = min(t, u); path | s, y is normal, m and v,
    and E[x^2] = m^2 + v, E[x^4] = m^4 + 6 m^2 v + 3 v^2.
    """
    scales = np.stack(np.meshgrid(_GRID, _GRID, indexing="ij"), axis=-1).reshape(-1, 2)
    evidence, mean, variance = _given_scales(scales)
    log_weight = evidence - 0.125 * (scales**2).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    powers = (
        np.concatenate([scales, mean], axis=1),
        np.concatenate([scales**2, mean**2 + variance], axis=1),
        np.concatenate([scales**4, mean**4 + 6.0 * mean**2 * variance + 3.0 * variance**2], axis=1),
    )
    first, second, fourth = (weight @ power / weight.sum() for power in powers)
    zero = np.zeros_like(first)
    return Moments(first, second, fourth - second**2, zero, zero)


def _given_scales(scales: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log p(y | s) up to a constant [n], mean and variance of path | y, s [n, 30], at log scales s [n, 2]."""
    step = np.arange(1.0, STEPS + 1.0)
    walk = np.minimum.outer(step, step)
    seen = np.r_[:SEEN, STEPS - SEEN : STEPS]
    # In units of a, every matrix has the eigenvectors of the observed block: one decomposition serves all scales.
    eigenvalues, vectors = np.linalg.eigh(walk[np.ix_(seen, seen)])
    ratio = np.exp(2.0 * (scales[:, 1] - scales[:, 0]))
    total = eigenvalues + ratio[:, None]
    rotated, cross = vectors.T @ simulate(), walk[:, seen] @ vectors
    square = np.exp(2.0 * scales[:, :1])
    evidence = -0.5 * (rotated**2 / (square * total) + np.log(square * total)).sum(axis=1)
    return evidence, (rotated / total) @ cross.T, square * (step - (1.0 / total) @ (cross**2).T)


def _log_terms(position: Position, data: Data) -> Terms:
    """Normal terms of the two log scales, the 30 increments and the 20 observations."""
    log_a, log_b, path = position["log_innovation"], position["log_observation"], position["path"]
    increments = path - jnp.concatenate([jnp.zeros(1), path[:-1]])
    errors = jnp.concatenate([path[:SEEN], path[-SEEN:]]) - data["y"]
    return {
        "log_innovation": -0.125 * log_a**2,
        "log_observation": -0.125 * log_b**2,
        "path": -0.5 * (increments * jnp.exp(-log_a)) ** 2 - log_a,
        "y": -0.5 * (errors * jnp.exp(-log_b)) ** 2 - log_b,
    }


def _initial(key: jax.Array, data: Data) -> Position:
    """Log scales N(log 0.1, 0.1) and N(log 0.15, 0.1), the path a walk of its own scale.

    As in the published trials: draws of the prior, whose scales span four powers of ten, are far worse starts.
    """
    normal = jax.random.normal(key, (STEPS + 2,), jnp.float64)
    log_a, log_b = (0.1 * normal[number] + np.log(scale) for number, scale in enumerate(SCALES))
    return {"log_innovation": log_a, "log_observation": log_b, "path": jnp.exp(log_a) * jnp.cumsum(normal[2:])}


def build() -> Model:
    """Sites log_innovation [], log_observation [] and path [30]."""
    sites = {"log_innovation": (), "log_observation": (), "path": (STEPS,)}
    return function_model(_log_terms, sites, {"y": simulate()}, name="brownian", initial=_initial, likelihood=("y",))
