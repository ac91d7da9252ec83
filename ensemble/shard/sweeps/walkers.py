"""Whole replicas exchanged along the ladder, and what travels with them: the walker's number and its round trips."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.ladder import round_trips, tempering
from kernels.ladder.round_trips import RoundTrips
from kernels.ladder.tempering import Swaps
from kernels.state import State
from kernels.types import Cells

Rungs = tuple[State, ...]
"""The states of a shard: for each rung (cold first) a State whose arrays have a leading axis of replicas."""


class RungWalkers(NamedTuple):
    """The walkers of the replicas at one rung.

    number: [R], that each had at the start of tempering.
    trips: their round trips, [R].
    """

    number: jax.Array
    trips: RoundTrips


Walkers = tuple[RungWalkers, ...]
"""For each rung; empty where replicas stay at their rung and only their blocks are exchanged."""


def first_walkers(rungs: int, replicas: int) -> Walkers:
    """Walkers numbered along the rungs, cold first."""
    numbers = jnp.arange(rungs * replicas).reshape(rungs, replicas)
    return restarted(tuple(RungWalkers(numbers[r], RoundTrips(numbers[r], numbers[r])) for r in range(rungs)))


def restarted(walkers: Walkers) -> Walkers:
    """The same walkers, all of whose round trips begin anew from where they are."""
    rungs = len(walkers)
    return tuple(
        RungWalkers(of_rung.number, round_trips.first_trips(jnp.full(of_rung.number.shape, rung), rungs))
        for rung, of_rung in enumerate(walkers)
    )


def energy(cells: Cells, tempered: frozenset[str] | None) -> jax.Array:
    """What beta multiplies in one replica's log density: the terms that are tempered, all of them for None."""
    return sum((jnp.sum(v) for name, v in cells.items() if tempered is None or name in tempered), start=jnp.zeros(()))


def energies(states: Rungs, tempered: frozenset[str] | None) -> jax.Array:
    """The energy of every replica of every rung, [rungs, R]."""
    return jnp.stack([jax.vmap(lambda cells: energy(cells, tempered))(state.cells) for state in states])


def exchange(
    keys: jax.Array,
    states: Rungs,
    walkers: Walkers,
    parity: jax.Array,
    betas: jax.Array,
    tempered: frozenset[str] | None,
) -> tuple[Rungs, Walkers, Swaps]:
    """One round of swaps, even or odd, between neighbouring rungs: every replica with a random one of the next. Exact.

    keys: [R]. Which replicas of the rungs make up a ladder is drawn anew, whatever their states, and each ladder swaps
    as in kernels.ladder.tempering; Swaps have a leading axis of ladders.
    """
    rungs, replicas = len(states), keys.shape[0]
    order_keys = jax.random.split(jax.random.fold_in(keys[0], 0), rungs - 1)
    swap_keys = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
    hot = jax.vmap(lambda key: jax.random.permutation(key, replicas))(order_keys)
    slots = jnp.concatenate([jnp.arange(replicas)[None], hot])
    ladders = jnp.take_along_axis(energies(states, tempered), slots, axis=1)
    swap = jax.vmap(tempering.swap, in_axes=(0, None, None, 1), out_axes=(1, 0))
    order, swaps = swap(swap_keys, parity, betas, ladders)
    sources = jnp.take_along_axis(slots, order, axis=0)
    both = tuple(zip(states, walkers, strict=True))
    moved = [_arrivals(both, rung, order[rung], sources[rung]) for rung in range(rungs)]
    found = tuple(
        of_rung._replace(trips=round_trips.update(of_rung.trips, jnp.full(replicas, rung), rungs))
        for rung, (_, of_rung) in enumerate(moved)
    )
    return tuple(state for state, _ in moved), found, swaps


def _arrivals(
    rungs: tuple[tuple[State, RungWalkers], ...], rung: int, order: jax.Array, slots: jax.Array
) -> tuple[State, RungWalkers]:
    """Who comes to a rung: for each place [R] from the rung `order`, itself or a neighbour, and there from `slots`."""
    near = range(max(rung - 1, 0), min(rung + 2, len(rungs)))

    def pick(*arrays: jax.Array) -> jax.Array:
        found = arrays[0][slots]
        for other, array in zip(near[1:], arrays[1:], strict=True):
            here = (order == other).reshape((-1,) + (1,) * (array.ndim - 1))
            found = jnp.where(here, array[slots], found)
        return found

    chosen: tuple[State, RungWalkers] = jax.tree.map(pick, *(rungs[other] for other in near))
    return chosen
