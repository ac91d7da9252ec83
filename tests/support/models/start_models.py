"""Models for runs that start from other runs: one narrow beside its prior, one that a random walk learns slowly."""

import jax.numpy as jnp
import numpy as np

from maxwell import function_model

GROUPS = 6
PRIOR, NOISE = 1.0, 1e-3


def means(seed: int = 0) -> np.ndarray:
    """What is observed of each group."""
    return np.random.default_rng(seed).normal(size=GROUPS)


def far(seed: int = 0):
    """x[group] ~ N(mu, 1), mu ~ N(0, 3), y[group] ~ N(x, .001): sd of x is .001 once y is known."""

    def log_terms(position, data):
        x, mu = position["x"], position["mu"]
        return {
            "mu": -0.5 * (mu / 3.0) ** 2,
            "x": -0.5 * ((x - mu) / PRIOR) ** 2,
            "y": -0.5 * ((data["y"] - x) / NOISE) ** 2,
        }

    sites = {"mu": (), "x": ((GROUPS,), ("group",))}
    return function_model(log_terms, sites, {"y": jnp.asarray(means(seed))}, likelihood=("y",))


def ridge(condition: float = 1e5, coordinates: int = 10):
    """A normal along rotated axes with variances from 1 down to 1 / condition: the metric takes long to learn."""
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(coordinates, coordinates)))

    def log_terms(position, data):
        along = data["rotation"].T @ position["x"]
        return -0.5 * jnp.sum((along / data["sds"]) ** 2)

    sds = np.geomspace(1.0, condition**-0.5, coordinates)
    return function_model(log_terms, {"x": coordinates}, {"rotation": rotation, "sds": sds})
