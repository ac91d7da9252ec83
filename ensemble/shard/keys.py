"""Random keys as a function of (seed, stage, round, replica): never of workers, time or order of execution."""

import math
from functools import cache, partial

import jax
import jax.numpy as jnp

from ensemble.protocol.stages import STAGES, Stage

GENERATION = len(STAGES)
"""The purpose of a key, beside the stages, that runs started from other runs descend from."""

RELOCATION = GENERATION + 1
"""The purpose of the keys that choose places for stragglers."""

LESSONS = 1 << 20
"""The purpose of a replica's keys for trajectories that networks learn from, beyond those of any sweep of a round."""


def run_seed(seed: int, generation: int) -> int:
    """The seed of a run that is `generation` runs away from one with starts of its own: other random numbers than any
    run before it used, the same `seed` or not."""
    if generation == 0:
        return seed
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), GENERATION), generation)
    high, low = (int(word) for word in jax.random.key_data(key))
    return (high << 32 | low) & (2**63 - 1)


def stage_key(seed: int, stage: Stage, round_: int) -> jax.Array:
    """The key of one round of one stage."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), stage.key), round_)


def relocation_key(seed: int, round_: int, shard: int) -> jax.Array:
    """The key of a shard's stragglers in one round of `scout`."""
    return _relocation_key(_seed_key(seed), round_, shard)


def replica_keys(seed: int, stage: Stage, round_: int, first: int, shape: tuple[int, ...]) -> jax.Array:
    """Keys of this shape, of the replicas numbered first, first + 1, ... in one round."""
    return _replica_keys(_seed_key(seed), stage.key, round_, first, shape)


@cache
def _seed_key(seed: int) -> jax.Array:
    return jax.random.key(seed)


# Compiled, as they are called in every round of every shard.


@jax.jit
def _relocation_key(seed: jax.Array, round_: int, shard: int) -> jax.Array:
    return jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(seed, RELOCATION), round_), shard)


@partial(jax.jit, static_argnames="shape")
def _replica_keys(seed: jax.Array, stage: int, round_: int, first: int, shape: tuple[int, ...]) -> jax.Array:
    key = jax.random.fold_in(jax.random.fold_in(seed, stage), round_)
    numbers = jnp.arange(math.prod(shape)) + first
    return jax.vmap(lambda replica: jax.random.fold_in(key, replica))(numbers).reshape(shape)


def for_purpose(keys: jax.Array, purpose: int | jax.Array) -> jax.Array:
    """Keys [rungs, R] for one of the purposes that they serve."""
    return jax.vmap(jax.vmap(lambda key: jax.random.fold_in(key, purpose)))(keys)
