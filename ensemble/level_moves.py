"""One call for every kernel of a level: all replicas of a rung take a step, and what came of it is summed."""

from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from ensemble.controls import Controls, metropolis_controls
from kernels import hmc, nuts
from kernels.batching import over_replicas
from kernels.hmc import Hmc
from kernels.integrators import SCHEMES
from kernels.metropolis import Metropolis
from kernels.nuts import Nuts
from kernels.state import LevelView, State
from kernels.types import Data

Sums = tuple[jax.Array, jax.Array]
"""Sum of acceptance probabilities and number of tries, [B] both."""


class Moved(NamedTuple):
    """Sums over the replicas. walk: moves from where a block was; fitted: independence proposals; nonfinite: proposals
    rejected for a non-finite density; gradients [2]: evaluations of the gradient one after another, which all replicas
    wait for, and evaluations that the replicas needed, summed."""

    walk: Sums
    fitted: Sums
    nonfinite: jax.Array
    gradients: jax.Array


class LevelMove(Protocol):
    """A step of all replicas [R] of a rung at a level, in sweep number `sweep` of the round."""

    @property
    def kernel(self) -> Metropolis | Hmc | Nuts:
        """The kernel, which says whether it is exact."""

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """The states after the step."""


def level_move(view: LevelView, coordinates: int) -> LevelMove:
    """The move that the level asks for. coordinates: of one replica, which decides how replicas are batched."""
    if view.level.move.kernel == "hmc":
        return HmcMove(view, coordinates)
    if view.level.move.kernel == "nuts":
        return NutsMove(view)
    return MetropolisMove(view, coordinates)


class MetropolisMove:
    """Metropolis on all blocks at once; no gradients."""

    def __init__(self, view: LevelView, coordinates: int) -> None:
        self.name, self.kernel, self.coordinates = view.level.name, Metropolis(view), coordinates

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """One proposal for every block."""
        chosen = metropolis_controls(controls, self.name, rung)
        step = over_replicas(lambda key, state: self.kernel.step(key, state, data, chosen), self.coordinates)
        states, info = step(keys, states)
        walk, fitted = ((jnp.sum(a, axis=0), jnp.sum(b, axis=0)) for a, b in (info.walk, info.fitted))
        return states, Moved(walk, fitted, jnp.sum(info.nonfinite), jnp.zeros(2))


class HmcMove:
    """HMC on all blocks at once. The number of steps is the same for all replicas: none waits for another."""

    def __init__(self, view: LevelView, coordinates: int) -> None:
        scheme = SCHEMES[view.level.move.integrator]
        self.name, self.blocks, self.coordinates = view.level.name, view.level.n_blocks, coordinates
        self.kernel, self.per_step = Hmc(view, scheme), scheme.gradients

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """One trajectory of every block."""
        level, steps = controls.levels[self.name][rung], jnp.asarray(controls.lengths[self.name])[rung, sweep]
        factor, steepest = jax.tree.map(jnp.asarray, (level.factor, controls.steepest[self.name][rung]))
        chosen = hmc.Controls(jnp.asarray(controls.betas[rung]), jnp.exp(level.log_scale), factor, steps, steepest)
        step = over_replicas(lambda key, state: self.kernel.step(key, state, data, chosen), self.coordinates)
        states, info = step(keys, states)
        spent = 1.0 + self.per_step * steps
        walk = jnp.sum(info.accepted, axis=0), jnp.full(self.blocks, 1.0 * keys.shape[0])
        # A trajectory of no steps accepts for certain, which says nothing about the step size.
        walk = jax.tree.map(partial(jnp.where, steps > 0), walk, (jnp.zeros(self.blocks),) * 2)
        nothing = jnp.zeros(self.blocks), jnp.zeros(self.blocks)
        return states, Moved(walk, nothing, jnp.sum(info.nonfinite), jnp.stack([spent, spent * keys.shape[0]]))


class NutsMove:
    """NUTS on the one block of a level, all replicas in step."""

    def __init__(self, view: LevelView) -> None:
        move = view.level.move
        scheme = SCHEMES[move.integrator]
        self.name = view.level.name
        self.kernel, self.per_step = Nuts(view, move.max_depth, scheme), scheme.gradients

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """One trajectory of every replica."""
        level, depth = controls.levels[self.name][rung], jnp.asarray(controls.lengths[self.name])[rung, sweep]
        factor, steepest = jax.tree.map(jnp.asarray, (level.factor, controls.steepest[self.name][rung]))
        chosen = nuts.Controls(jnp.asarray(controls.betas[rung]), jnp.exp(level.log_scale[0]), factor, depth, steepest)
        states, info = self.kernel.step(keys, states, data, chosen)
        tried = info.leapfrogs > 0
        walk = jnp.sum(jnp.where(tried, info.accepted, 0.0))[None], jnp.sum(1.0 * tried)[None]
        own = keys.shape[0] + self.per_step * jnp.sum(info.leapfrogs)
        gradients = jnp.stack([1.0 + self.per_step * jnp.max(info.executed), 1.0 * own])
        return states, Moved(walk, (jnp.zeros(1), jnp.zeros(1)), jnp.sum(info.nonfinite, dtype=jnp.int64), gradients)
