"""From a curve near the data to the best one of its kind, and from there out again by a few standard deviations.

Levenberg's and Marquardt's iteration (Marquardt 1963, SIAM Journal on Applied Mathematics 11, 431-441) for all subjects
at once, in the coordinates of the model: heights, and the logarithms of the other four. A prior keeps what the
recording does not tell where it is likely. With J the derivatives of the curve, W the prior's precisions and s^2 the
mean square of the residuals, the posterior is about N(x, (J'J / s^2 + W)^-1).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

Array = jax.Array
Model = Callable[[Array], Array]
"""Coordinates [p] -> curve [N] of one subject."""

ITERATIONS = 40
FIRST_DAMPING, LESS, MORE = 1e-2, 0.3, 5.0
"""Of the diagonal of J'J; factors after a step that was taken, and after one that was not."""


class Prior(NamedTuple):
    """Means and precisions [p] of the coordinates."""

    mean: Array
    precision: Array


class Polished(NamedTuple):
    """Coordinates [p], a factor L [p, p] of their covariance L L', and the residuals' standard deviation."""

    x: Array
    factor: Array
    sigma: Array


def polish(model: Model, start: Array, y: Array, prior: Prior) -> Polished:
    """The best coordinates of one subject that the iteration finds from `start` [p]; y: [N]."""
    derivatives = jax.jacfwd(model)

    def cost(x: Array, sigma: Array) -> Array:
        return jnp.sum((y - model(x)) ** 2) / sigma**2 + jnp.sum(prior.precision * (x - prior.mean) ** 2)

    def body(_: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        x, damping = now
        sigma = _spread(y - model(x))
        slope = derivatives(x)
        curvature = slope.T @ slope / sigma**2 + jnp.diag(prior.precision)
        force = slope.T @ (y - model(x)) / sigma**2 - prior.precision * (x - prior.mean)
        new = x + jnp.linalg.solve(curvature + damping * jnp.diag(jnp.diag(curvature)), force)
        better = cost(new, sigma) < cost(x, sigma)
        return jnp.where(better, new, x), damping * jnp.where(better, LESS, MORE)

    x, _ = jax.lax.fori_loop(0, ITERATIONS, body, (start, jnp.asarray(FIRST_DAMPING)))
    sigma = _spread(y - model(x))
    slope = derivatives(x)
    precision = slope.T @ slope / sigma**2 + jnp.diag(prior.precision)
    # With P = C C', C lower, the covariance is C'^-1 C^-1.
    inverse = jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(precision), jnp.eye(x.size), lower=True)
    return Polished(x, inverse.T, sigma)


def _spread(residual: Array) -> Array:
    return jnp.sqrt(jnp.mean(residual**2))
