"""A funnel and the normal law, as models that a run finds by name."""

import jax
import jax.numpy as jnp

from kernels.types import Data, Position
from workflows.modelling.frontends.function import function_model
from workflows.modelling.model import Model

WIDTH = 9
"""Coordinates of x."""
STEEP = 8.0
"""Log of the variance of x by v: 1 in Neal's funnel, whose neck bounded forces still pass without divergences."""


def funnel() -> Model:
    """N(v; 0, 3) prod_i N(x_i; 0, exp(STEEP v / 2)): its neck is far too narrow for the steps that suit its mouth."""

    def log_density(position: Position, data: Data) -> jax.Array:
        v, x = position["v"], position["x"]
        return -(v**2) / 18.0 - 0.5 * jnp.sum(x**2) * jnp.exp(-STEEP * v) - 0.5 * WIDTH * STEEP * v

    return function_model(log_density, {"v": (), "x": WIDTH}, name="funnel")


def normal() -> Model:
    """Independent standard normal coordinates."""

    def log_density(position: Position, data: Data) -> jax.Array:
        return -0.5 * (position["v"] ** 2 + jnp.sum(position["x"] ** 2))

    return function_model(log_density, {"v": (), "x": WIDTH}, name="normal")
