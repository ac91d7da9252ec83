"""What a round of sweeps counts: sums over its sweeps and the replicas of a shard."""

import operator
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from ensemble.protocol.statistics import ChainSums, LevelRates, Rate
from kernels.ladder.evidence import Stones

Tree = TypeVar("Tree")


class RoundTally(NamedTuple):
    """Sums over the sweeps of a round and the replicas of a shard.

    rates: level -> for each rung its moves, walk and fitted, [B].
    interweaving: of the interweaving moves, [moves].
    swaps: leaf level, [B], or REPLICA_SWAP, a scalar -> for each pair of neighbouring rungs, from cold to hot.
    energy: [rungs], what beta multiplies, one number for each sweep and replica.
    flow: what swaps added to the log density of the cold replicas.
    stones: of the log evidence, where the likelihood alone is tempered and whole replicas travel.
    total: level -> [R, p, B], the cold replicas' coordinates about the tuning's mean, and how often each lay in a tail,
        see protocol.events; levels that are all auxiliary are left out.
    square: the same -> [p, B], their squares, summed over replicas; and the counts of positive coordinates.
    nonfinite: proposals rejected for a non-finite density.
    infinite: level -> those of its proposals that were rejected for a density of +inf.
    gradients: [2], evaluations one after another, and those that all replicas needed (see level_kernels.base).
    chains: what every cold replica's steps say of it.
    jumps: level -> [p, B], squared distances from the first to the last state, summed over the cold replicas; where
        there are joint levels.
    """

    rates: dict[str, tuple[LevelRates, ...]]
    interweaving: Rate
    swaps: dict[str, tuple[Rate, ...]]
    energy: jax.Array
    flow: jax.Array
    stones: Stones | None
    total: dict[str, jax.Array]
    square: dict[str, jax.Array]
    nonfinite: jax.Array
    infinite: dict[str, jax.Array]
    gradients: jax.Array
    chains: ChainSums
    jumps: dict[str, jax.Array] | None = None


def added(sums: Tree, new: Tree) -> Tree:
    """The sums with new ones, tree by tree."""
    total: Tree = jax.tree.map(operator.add, sums, new)
    return total


def never(shape: tuple[int, ...]) -> Rate:
    """Of what was not tried yet."""
    return Rate(jnp.zeros(shape), jnp.zeros(shape))
