"""Degrees of freedom of a Student t whose tails are learned."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

RATE, LOWEST = 0.1, 1.0
"""Of the gamma distribution of shape 2 (Juarez and Steel 2010), and where it is cut: a Cauchy has no tails to spare."""


class DegreesOfFreedom(dist.Distribution):
    """Gamma(2, rate RATE) given that it is above LOWEST, n times over.

    log p(nu) = log nu - RATE (nu - LOWEST) + 2 log RATE - log(1 + RATE LOWEST) for nu > LOWEST
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.greater_than(LOWEST)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """Log density, of the shape of value."""
        return jnp.log(value) - RATE * (value - LOWEST) + (2.0 * math.log(RATE) - math.log1p(RATE * LOWEST))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """The excess x over LOWEST, of density (LOWEST + x) e^(-RATE x): a mixture of an exponential and Gamma(2)."""
        shape = sample_shape + self.batch_shape
        first, second, choice = jax.random.split(key, 3)
        sizes = jax.random.exponential(first, shape), jax.random.exponential(second, shape)
        both = jax.random.bernoulli(choice, 1.0 / (1.0 + RATE * LOWEST), shape)
        return LOWEST + (sizes[0] + jnp.where(both, sizes[1], 0.0)) / RATE
