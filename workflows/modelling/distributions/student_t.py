"""Student's t distribution of real observations, evaluated with the fast functions of kernels.numerics.special."""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.distributions.util import promote_shapes

from kernels.numerics.special import log, log_gamma, materialised

Array = jax.Array


class StudentT(dist.Distribution):
    """y = loc + scale t, t with `freedom` degrees of freedom. Shapes broadcast; the batch shape is theirs together.

    log p(y) = log Gamma((f + 1) / 2) - log Gamma(f / 2) - log(pi f) / 2 - log s
               - (f + 1) / 2 log(1 + ((y - m) / s)^2 / f)
    """

    arg_constraints: ClassVar = {
        "freedom": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real

    def __init__(self, freedom: Array, loc: Array, scale: Array, *, validate_args: bool | None = None) -> None:
        shape = jnp.broadcast_shapes(jnp.shape(freedom), jnp.shape(loc), jnp.shape(scale))
        self.freedom, self.loc, self.scale = promote_shapes(freedom, loc, scale, shape=shape)
        super().__init__(batch_shape=shape, validate_args=validate_args)

    def log_prob(self, value: Array) -> Array:
        """Log density, of the broadcast shape."""
        half = 0.5 * (self.freedom + 1.0)
        constant = log_gamma(half) - log_gamma(0.5 * self.freedom) - 0.5 * log(math.pi * self.freedom)
        square = (value - self.loc) ** 2 * (1.0 / (self.freedom * self.scale**2))
        return constant - log(self.scale) - half * log(materialised(1.0 + square))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Normal draws over the root of gamma ones."""
        shape = sample_shape + self.batch_shape
        return self.loc + self.scale * jax.random.t(key, self.freedom, shape, jnp.float64)
