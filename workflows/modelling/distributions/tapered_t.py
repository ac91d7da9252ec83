"""Student's t with tails that end: what is large stays possible, what is absurd does not."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.distributions.util import promote_shapes

from kernels.numerics.special import log, materialised
from workflows.modelling.distributions.student_t import StudentT

Array = jax.Array

NODES, WEIGHTS = np.polynomial.legendre.leggauss(64)
"""Of the normalising integral: its error is below 1e-6 for all scales from 1e-4 and degrees of freedom from 1 to 200,
below 1e-12 for degrees of freedom up to 10 and scales from .01 (taper 4)."""
FURTHEST = 9.0
"""Where that integral ends, in standard deviations of the taper."""


class TaperedT(dist.Distribution):
    """A Student t about 0 times a normal density of standard deviation `taper`, made to integrate to 1.

    log p(x) = log t(x; freedom, scale) - x^2 / (2 taper^2) - log Z(freedom, scale / taper), freedom >= 1.

    All its moments exist, whatever the degrees of freedom, and so do those of a posterior where the data leave one side
    open (all counts of a group are 0). Regularised in the manner of the slab of Piironen and Vehtari (2017), Electronic
    Journal of Statistics 11, 5018-5051.
    """

    arg_constraints: ClassVar = {"freedom": constraints.positive, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, freedom: Array, scale: Array, taper: float, *, validate_args: bool | None = None) -> None:
        shape = jnp.broadcast_shapes(jnp.shape(freedom), jnp.shape(scale))
        self.freedom, self.scale = promote_shapes(freedom, scale, shape=shape)
        self.taper = taper
        super().__init__(batch_shape=shape, validate_args=validate_args)

    @property
    def _untapered(self) -> StudentT:
        return StudentT(self.freedom, jnp.zeros(()), self.scale)

    def log_prob(self, value: Array) -> Array:
        """Log density, of the broadcast shape."""
        whole = materialised(self.log_normaliser())
        return self._untapered.log_prob(value) - value**2 * (0.5 / self.taper**2) - whole

    def log_normaliser(self) -> Array:
        """log Z, of the batch shape: by Gauss and Legendre's rule in u = asinh(x / scale), in which both the bulk and
        the power law of the tails are smooth."""
        top = jnp.arcsinh(FURTHEST * self.taper / self.scale)[..., None]
        u = 0.5 * (NODES + 1.0) * top
        x = jnp.sinh(u) * self.scale[..., None]
        density = StudentT(self.freedom[..., None], jnp.zeros(()), self.scale[..., None]).log_prob(x)
        stretch = jnp.cosh(u) * self.scale[..., None] * top
        # Half of the range, and both signs.
        return log(jnp.sum(WEIGHTS * stretch * jnp.exp(density - 0.5 * (x / self.taper) ** 2), axis=-1))

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> Array:
        """Draws of the t, each drawn again until it passes with probability e^(-x^2 / (2 taper^2))."""
        shape = sample_shape + self.batch_shape
        untapered = self._untapered

        def again(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            key, x, passed = carry
            key, draw_key, pass_key = jax.random.split(key, 3)
            fresh = untapered.sample(draw_key, sample_shape)
            passes = jax.random.uniform(pass_key, shape, jnp.float64) < jnp.exp(-0.5 * (fresh / self.taper) ** 2)
            return key, jnp.where(passed, x, fresh), passed | passes

        start = key, jnp.zeros(shape), jnp.zeros(shape, bool)
        return jax.lax.while_loop(lambda carry: ~jnp.all(carry[2]), again, start)[1]
