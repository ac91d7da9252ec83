"""Round trips of walkers between the ends of a ladder, counted as they go."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

STARTING, FROM_COLD, FROM_HOT = 0, 1, 2
"""Where a walker last came from: nowhere yet (it has not been at the cold end), the cold end, the hot end."""


class RoundTrips(NamedTuple):
    """By walker, arrays of any one shape. origin: int32, one of the three above; finished: int32, trips so far."""

    origin: jax.Array
    finished: jax.Array


def first_trips(rung: jax.Array, rungs: int) -> RoundTrips:
    """Before the first swap; rung: of each walker. A walker that starts at the cold end begins its trip there."""
    nowhere = jnp.zeros(jnp.shape(rung), jnp.int32)
    return update(RoundTrips(nowhere, nowhere), rung, rungs)


def update(trips: RoundTrips, rung: jax.Array, rungs: int) -> RoundTrips:
    """After a round of swaps that left each walker at `rung`, 0 (cold) to rungs - 1 (hot), in the walkers' order.

    A trip is cold, hot, cold; what lies before the first visit to the cold end belongs to none. Raises ValueError for
    fewer than 2 rungs.
    """
    if rungs < 2:
        raise ValueError(f"a ladder of {rungs} rungs has no round trips: give it at least 2")
    cold, hot = rung == 0, rung == rungs - 1
    arrived = cold & (trips.origin == FROM_HOT)
    turned = hot & (trips.origin == FROM_COLD)
    origin = jnp.where(cold, FROM_COLD, jnp.where(turned, FROM_HOT, trips.origin))
    return RoundTrips(origin, trips.finished + arrived.astype(jnp.int32))


def rung_of_walkers(walkers: jax.Array) -> jax.Array:
    """The rung of each walker, from the walker at each rung: the inverse of a permutation along the last axis."""
    return jnp.argsort(walkers, axis=-1)
