"""The normal distribution cut to one sign, by the location and scale that it had before the cut."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import log_ndtr, ndtr, ndtri
from numpyro.distributions import constraints
from numpyro.distributions.util import promote_shapes


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
        """Draws by inversion; at 0 where rounding leaves nothing of the distribution."""
        u = jax.random.uniform(key, sample_shape + self.batch_shape, jnp.float64)
        cut = ndtr(-self.sign * self.location / self.scale)
        offset = ndtri(jnp.clip(cut + u * (1.0 - cut), 1e-300, 1.0 - 1e-16))
        return self.sign * jnp.maximum(self.sign * self.location + self.scale * offset, 0.0)
