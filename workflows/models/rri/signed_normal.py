"""The normal distribution cut to one sign, by the location and scale that it had before the cut."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr, ndtr, ndtri
from numpyro.distributions import constraints
from numpyro.distributions.util import promote_shapes

FAR = 30.0
"""Scales on the wrong side of the cut from which on a tail is taken as exponential."""


class SignedNormal(dist.Distribution):
    """N(location, scale^2) given that sign x > 0.

    The logarithm of the share that the cut leaves is taken as such: NumPyro's truncated distributions take log cdf of
    an underflowed cdf, and report an infinite density where the location is far on the wrong side.
    """

    arg_constraints: ClassVar = {"location": constraints.real, "scale": constraints.positive}
    reparametrized_params: ClassVar = ["location", "scale"]
    pytree_aux_fields = ("sign",)

    def __init__(
        self, location: jax.Array | float, scale: jax.Array | float, sign: int, *, validate_args: bool | None = None
    ) -> None:
        """sign: 1 or -1."""
        self.sign = int(sign)
        self.location, self.scale = promote_shapes(location, scale)
        shape = jax.lax.broadcast_shapes(jnp.shape(location), jnp.shape(scale))
        super().__init__(shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """The half line of the sign."""
        return constraints.positive if self.sign > 0 else constraints.less_than(0.0)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """log density at a value of the right sign."""
        offset = (value - self.location) / self.scale
        left = log_ndtr(self.sign * self.location / self.scale)
        return -0.5 * offset**2 - jnp.log(self.scale) - 0.5 * jnp.log(2.0 * jnp.pi) - left

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws by inversion of the upper tail, whose share keeps its digits however small it is.

        Where the location is 30 scales or more on the wrong side, by the tail's first term, -log v / distance beyond
        the cut: right to a thousandth of a draw.
        """
        v = 1.0 - jax.random.uniform(key, sample_shape + self.batch_shape, jnp.float64)
        inside = self.sign * self.location / self.scale
        drawn = inside - ndtri(v * ndtr(jnp.maximum(inside, -FAR)))
        distance = jnp.maximum(-inside, FAR)
        tail = -jnp.log(v) / distance
        return self.sign * self.scale * jnp.maximum(jnp.where(inside > -FAR, drawn, tail), 1e-300)
