"""Examples for networks that learn the gradient: places and slopes along trajectories beside the chains."""

from functools import partial

import jax
import jax.numpy as jnp

from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.base import LevelKernel
from kernels.dynamics.forces import log_density_gradient, normals
from kernels.dynamics.metric import Factor, multiply, multiply_transposed
from kernels.numerics.batching import over_replicas
from kernels.state import LevelView, State
from kernels.types import Data, Position

Carry = tuple[Position, jax.Array, jax.Array]
"""Position, momentum and slope from step to step."""

STEPS = 8
"""Leapfrog steps of such a trajectory, each of which gives an example."""


def examples(
    levels: tuple[tuple[LevelKernel, LevelView], ...],
    rungs: tuple[State, ...],
    keys: jax.Array,
    tuning: TuningState,
    data: Data,
) -> dict[str, tuple[jax.Array, ...]]:
    """For each level that learns and each rung [N, 2, p], N = STEPS + 1 examples a replica. keys: [rungs, R]."""
    return {
        kernel.level.name: tuple(
            _along(view, states, keys[rung], tuning, rung, data)
            for rung, states in enumerate(rungs[: len(tuning.levels[kernel.level.name])])
        )
        for kernel, view in levels
        if kernel.learns
    }


def _along(view: LevelView, states: State, keys: jax.Array, tuning: TuningState, rung: int, data: Data) -> jax.Array:
    """The examples of a level's replicas at a rung."""
    known = tuning.levels[view.level.name][rung]
    factor: Factor = jax.tree.map(jnp.asarray, known.factor)
    step = jnp.exp(jnp.asarray(known.log_scale)[0])
    one = partial(_trajectory, view, data, factor, step, jnp.asarray(tuning.betas)[rung])
    found: jax.Array = over_replicas(one, view.target.dimension)(keys, states.position)
    return found.reshape(-1, *found.shape[2:])


def _trajectory(
    view: LevelView,
    data: Data,
    factor: Factor,
    step: jax.Array,
    beta: jax.Array,
    key: jax.Array,
    position: Position,
) -> jax.Array:
    """Places of a leapfrog trajectory with a fresh momentum and slopes of the log density there, [STEPS + 1, 2, p]."""

    def slope(position: Position) -> jax.Array:
        return log_density_gradient(view, position, data, beta)

    def body(carry: Carry, _: None) -> tuple[Carry, jax.Array]:
        position, momentum, here = carry
        momentum = momentum + 0.5 * step * multiply_transposed(factor, here)
        moved = view.level.scatter(position, view.blocks(position) + step * multiply(factor, momentum))
        there = slope(moved)
        momentum = momentum + 0.5 * step * multiply_transposed(factor, there)
        return (moved, momentum, there), _example(view, moved, there)

    first = slope(position)
    rest = jax.lax.scan(body, (position, normals(key, view), first), None, length=STEPS)[1]
    return jnp.concatenate([_example(view, position, first)[None], rest])


def _example(view: LevelView, position: Position, slope: jax.Array) -> jax.Array:
    return jnp.stack([view.blocks(position)[:, 0], slope[:, 0]])
