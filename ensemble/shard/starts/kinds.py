"""Where a superchain begins: one dispersed start as a function of a key, from the prior, a box or an approximation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ensemble.shard.starts.density import density_of
from kernels.numerics.descent import descended
from kernels.target import Target
from kernels.types import Data, Position, Start

APPROXIMATIONS = ("pathfinder", "variational")
"""Kinds of starts that follow the gradient of the log density."""


def make_start(target: Target, kind: str, radius: float, spread: float) -> Start:
    """How starts of a kind are drawn: "prior" (the target's own), "uniform", "pathfinder" or "variational".

    radius: of the uniform box. spread: factor on the deviations of an approximation's draws from its mean.
    """
    if kind in APPROXIMATIONS:
        # BlackJAX takes seconds to import: only for those who ask for it.
        from ensemble.shard.starts.approximations import pathfinder_start, variational_start

        return {"pathfinder": pathfinder_start, "variational": variational_start}[kind](target, spread)
    return {"prior": target.initial, "uniform": uniform_start(target, radius)}[kind]


def descending(target: Target) -> Callable[[Position, Data], Position]:
    """A function (start, data) -> where the slope from that start meets the bulk, see kernels.numerics.descent."""

    def descend(start: Position, data: Data) -> Position:
        flat, position_of = ravel_pytree(start)
        density = density_of(target, data)
        return position_of(descended(lambda x: -density(position_of(x)), flat))  # type: ignore[no-any-return]

    return descend


def uniform_start(target: Target, radius: float) -> Start:
    """Every unconstrained coordinate uniform on (-radius, radius)."""

    def start(key: jax.Array, data: Data) -> Position:
        keys = jax.random.split(key, len(target.sites))
        sites = zip(keys, target.sites.items(), strict=True)
        return {n: jax.random.uniform(k, site.shape, jnp.float64, -radius, radius) for k, (n, site) in sites}

    return start
