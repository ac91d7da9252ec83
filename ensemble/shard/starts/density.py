"""The log density as a function of the position alone, as methods that climb want it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from kernels.target import Target
from kernels.types import Data, Position


def density_of(target: Target, data: Data) -> Callable[[Position], jax.Array]:
    """position -> log density, a scalar."""

    def density(position: Position) -> jax.Array:
        terms = target.log_terms(position, data)
        return sum((jnp.sum(values.astype(jnp.float64)) for values in terms.values()), start=jnp.zeros(()))

    return density
