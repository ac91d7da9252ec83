"""Densities of the mixed model: the mixture of random effects, the responses given them, and the prior.

theta: b [8], mu [2], log_l [2] (log precisions), logit_w (of the first component's weight). Random effects x [T, S],
S of them for each individual; z [T, n, 8], y [T, n].
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.numerics.special import log
from kernels.types import Data, Position

PRIOR_VARIANCE = 100.0
"""Of every coordinate of theta, a priori normal about 0, where data["log_l_variance"] does not say otherwise."""

SITES = {"b": (8,), "mu": (2,), "log_l": (2,), "logit_w": ()}
"""The sites of theta and their shapes: 13 coordinates."""


class Mixture(NamedTuple):
    """weight: log weights, mean, precision: of the two components, [2] each; log_scale: log l / 2 - log(2 pi) / 2."""

    weight: jax.Array
    mean: jax.Array
    precision: jax.Array
    log_scale: jax.Array


def mixture(theta: Position) -> Mixture:
    """The law of the random effects."""
    weights = jax.nn.log_sigmoid(jnp.stack([theta["logit_w"], -theta["logit_w"]]))
    log_scale = 0.5 * theta["log_l"] - 0.5 * math.log(2.0 * math.pi)
    return Mixture(weights, theta["mu"], jnp.exp(theta["log_l"]), log_scale)


def log_components(of: Mixture, x: jax.Array) -> jax.Array:
    """log(weight density) of each component at x: [2, ...]."""
    mean, precision, constant = (
        jnp.reshape(part, (2,) + (1,) * x.ndim) for part in (of.mean, of.precision, of.weight + of.log_scale)
    )
    return constant - 0.5 * precision * (x - mean) ** 2


def log_mixture(of: Mixture, x: jax.Array) -> jax.Array:
    """log f(x), elementwise."""
    first, second = log_components(of, x)
    return jnp.logaddexp(first, second)


def log_responses(b: jax.Array, x: jax.Array, data: Data) -> jax.Array:
    """log g(y_k | x_ks) = sum_j y_kj eta_kjs - log(1 + exp(eta_kjs)), eta = x + Z b: [T, S].

    log prod_j (1 + exp(-|eta_j|)) takes one logarithm for all responses, and its argument lies between 1 and 2^n.
    """
    fixed = jnp.sum(data["z"] * b, axis=-1)
    eta = fixed[:, :, None] + x[:, None, :]
    positive = jnp.sum(data["y"][:, :, None] * eta - jnp.maximum(eta, 0.0), axis=1)
    return positive - log(jnp.prod(1.0 + jnp.exp(-jnp.abs(eta)), axis=1))


def log_prior(theta: Position, data: Data) -> dict[str, jax.Array]:
    """log N(0, variance) of every coordinate of theta, by site."""
    variances = dict.fromkeys(SITES, jnp.asarray(PRIOR_VARIANCE)) | {"log_l": data["log_l_variance"]}
    return {
        f"prior_{name}": -0.5 * (theta[name] ** 2 / variance + jnp.log(2.0 * math.pi * variance))
        for name, variance in variances.items()
    }
