"""Noise whose standard deviation follows a curve of its own, of the same form as that of the mean."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from workflows.models.rri.curve import Curve, mean, partials

FLOOR = 0.01
"""Where the noise curve falls below this share of the standard deviation of y, it is bent off (see deviation)."""


class Partials(NamedTuple):
    """Partial derivatives of a log likelihood by the parameters of the mean's curve and of the noise's."""

    curve: Curve
    noise: Curve


def deviation(noise: Curve, floor: jax.Array | float, t: jax.Array) -> jax.Array:
    """The standard deviation at the times t: floor log(1 + exp(m / floor)), m the curve's value.

    It is m within floor exp(-m / floor), and positive and smooth where m is not: no parameters have to be refused.
    """
    return floor * jax.nn.softplus(mean(noise, t) / floor)


def log_likelihood(curve: Curve, noise: Curve, floor: float, t: jax.Array, y: jax.Array) -> jax.Array:
    """sum over t of log N(y; M(t), sigma(t)^2), one number."""
    sigma = deviation(noise, floor, t)
    residual = (y - mean(curve, t)) / sigma
    return -jnp.sum(0.5 * residual**2 + jnp.log(sigma) + 0.5 * jnp.log(2.0 * jnp.pi))


def log_likelihood_partials(curve: Curve, noise: Curve, floor: float, t: jax.Array, y: jax.Array) -> Partials:
    """Of log_likelihood, by hand: sum r dM / sigma^2, and sum (-1 / sigma + r^2 / sigma^3) dsigma with r = y - M(t) and
    dsigma = dm / (1 + exp(-m / floor))."""
    sigma, residual = deviation(noise, floor, t), y - mean(curve, t)
    by_mean = residual / sigma**2
    by_sigma = (residual**2 / sigma**2 - 1.0) / sigma * jax.nn.sigmoid(mean(noise, t) / floor)
    return Partials(
        Curve(*(jnp.sum(by_mean * partial) for partial in partials(curve, t))),
        Curve(*(jnp.sum(by_sigma * partial) for partial in partials(noise, t))),
    )
