"""One call for every kernel of a level: all replicas of a rung take a step, and what came of it is summed."""

from functools import partial
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.tuning import Controls, metropolis_controls
from kernels.dynamics.integrators import SCHEMES
from kernels.dynamics.metric import Factor, Leading, LowRank
from kernels.dynamics.splitting import Auxiliary
from kernels.numerics.batching import over_replicas
from kernels.state import LevelView, State
from kernels.transitions import hmc
from kernels.transitions.hmc import Hmc
from kernels.transitions.metropolis import Metropolis
from kernels.transitions.nuts import sampler as nuts
from kernels.transitions.nuts.sampler import Nuts
from kernels.transitions.pseudo_marginal import metropolis as pseudo_marginal_metropolis
from kernels.transitions.pseudo_marginal.metropolis import PseudoMarginalMetropolis
from kernels.transitions.pseudo_marginal.target import AUXILIARY
from kernels.transitions.pseudo_marginal.trajectories import joint_view, pseudo_marginal_hmc, pseudo_marginal_nuts
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
    def kernel(self) -> Metropolis | PseudoMarginalMetropolis | Hmc | Nuts:
        """The kernel, which says whether it is exact."""

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """The states after the step."""


def level_move(view: LevelView, coordinates: int) -> LevelMove:
    """The move that the level asks for. coordinates: of one replica, which decides how replicas are batched."""
    move = view.level.move
    if move.doubles:
        return NutsMove(view)
    if move.gradients:
        return HmcMove(view, coordinates)
    return MetropolisMove(view, coordinates) if move.kernel == "metropolis" else RefreshMove(view, coordinates)


def with_auxiliary(view: LevelView) -> LevelView:
    """theta, whose level `view` is of, and u as one block."""
    return joint_view(view.target, view.structure, view.tempered)


def factor_of(view: LevelView, factor: np.ndarray | LowRank) -> Factor:
    """What the kernel takes, of the factor that is adapted for the level: with u, 1 for each coordinate of u."""
    known = jax.tree.map(jnp.asarray, factor)
    return Leading(known) if view.level.move.joint else known


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


class RefreshMove:
    """New u by u' = rho u + sqrt(1 - rho^2) xi: for each individual on its own phat, or with theta at once.

    A refresh of individuals has rho = (1 + s^2)^(-1/2) with the scale s that its acceptance steers: s of a small step,
    independent draws for s to infinity. With theta, rho is as the level says and s the scale of theta's random walk.
    """

    def __init__(self, view: LevelView, coordinates: int) -> None:
        self.name, self.coordinates, self.move = view.level.name, coordinates, view.level.move
        self.blocks = view.level.n_blocks
        moving = with_auxiliary(view) if self.move.joint else view
        self.kernel = PseudoMarginalMetropolis(moving, Auxiliary(moving, AUXILIARY))

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """One proposal for every individual, or for theta and all of them."""
        level = jax.tree.map(jnp.asarray, controls.levels[self.name][rung])
        rho = jnp.asarray(self.move.correlation) if self.move.joint else correlation(level.log_scale)
        beta = jnp.asarray(controls.betas[rung])
        chosen = pseudo_marginal_metropolis.Controls(beta, level.log_scale, level.factor, rho)
        step = over_replicas(lambda key, state: self.kernel.step(key, state, data, chosen), self.coordinates)
        states, info = step(keys, states)
        walk = jnp.sum(info.accepted, axis=0), jnp.full(self.blocks, 1.0 * keys.shape[0])
        nothing = jnp.zeros(self.blocks), jnp.zeros(self.blocks)
        return states, Moved(walk, nothing, jnp.sum(info.nonfinite), jnp.zeros(2))


def correlation(log_scale: jax.Array) -> jax.Array:
    """rho = (1 + s^2)^(-1/2) of a refresh with the scale s."""
    return jax.lax.rsqrt(1.0 + jnp.exp(2.0 * log_scale))


class HmcMove:
    """HMC on all blocks at once. The number of steps is the same for all replicas: none waits for another."""

    def __init__(self, view: LevelView, coordinates: int) -> None:
        self.view, self.name, self.blocks, self.coordinates = view, view.level.name, view.level.n_blocks, coordinates
        move = view.level.move
        self.kernel = pseudo_marginal_hmc(with_auxiliary(view)) if move.joint else Hmc(view, SCHEMES[move.integrator])
        self.per_step, self.first = self.kernel.scheme.gradients, 0.0 if self.kernel.scheme.stale else 1.0

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """One trajectory of every block."""
        level, steps = controls.levels[self.name][rung], jnp.asarray(controls.lengths[self.name])[rung, sweep]
        factor, steepest = factor_of(self.view, level.factor), jnp.asarray(controls.steepest[self.name][rung])
        chosen = hmc.Controls(jnp.asarray(controls.betas[rung]), jnp.exp(level.log_scale), factor, steps, steepest)
        step = over_replicas(lambda key, state: self.kernel.step(key, state, data, chosen), self.coordinates)
        states, info = step(keys, states)
        spent = self.first + self.per_step * steps
        walk = jnp.sum(info.accepted, axis=0), jnp.full(self.blocks, 1.0 * keys.shape[0])
        # A trajectory of no steps accepts for certain, which says nothing about the step size.
        walk = jax.tree.map(partial(jnp.where, steps > 0), walk, (jnp.zeros(self.blocks),) * 2)
        nothing = jnp.zeros(self.blocks), jnp.zeros(self.blocks)
        return states, Moved(walk, nothing, jnp.sum(info.nonfinite), jnp.stack([spent, spent * keys.shape[0]]))


class NutsMove:
    """NUTS on the one block of a level, all replicas in step."""

    def __init__(self, view: LevelView) -> None:
        self.view, self.name, move = view, view.level.name, view.level.move
        if move.joint:
            self.kernel = pseudo_marginal_nuts(with_auxiliary(view), move.max_depth, joint=move.joint_turning)
        else:
            self.kernel = Nuts(view, move.max_depth, SCHEMES[move.integrator])
        self.per_step = self.kernel.scheme.gradients

    def __call__(
        self, keys: jax.Array, states: State, data: Data, controls: Controls, *, rung: int, sweep: jax.Array
    ) -> tuple[State, Moved]:
        """One trajectory of every replica."""
        level, depth = controls.levels[self.name][rung], jnp.asarray(controls.lengths[self.name])[rung, sweep]
        factor, steepest = factor_of(self.view, level.factor), jnp.asarray(controls.steepest[self.name][rung])
        chosen = nuts.Controls(jnp.asarray(controls.betas[rung]), jnp.exp(level.log_scale[0]), factor, depth, steepest)
        states, info = self.kernel.step(keys, states, data, chosen)
        tried = info.leapfrogs > 0
        walk = jnp.sum(jnp.where(tried, info.accepted, 0.0))[None], jnp.sum(1.0 * tried)[None]
        own = keys.shape[0] + self.per_step * jnp.sum(info.leapfrogs)
        gradients = jnp.stack([1.0 + self.per_step * jnp.max(info.executed), 1.0 * own])
        return states, Moved(walk, (jnp.zeros(1), jnp.zeros(1)), jnp.sum(info.nonfinite, dtype=jnp.int64), gradients)
