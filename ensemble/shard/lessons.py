"""Examples for networks that learn the gradient: places and slopes along trajectories beside the chains."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from ensemble.protocol.statistics import Lessons
from ensemble.protocol.tuning import TuningState
from ensemble.shard.level_kernels.base import LevelKernel
from kernels.dynamics.forces import normals, scaled_potential, value_and_gradient
from kernels.dynamics.integrators import LEAPFROG, Phase, hamiltonian_flows, phase_at, stepper
from kernels.dynamics.metric import Factor
from kernels.numerics.batching import over_replicas
from kernels.state import LevelView, State
from kernels.types import Data, Position

STEPS = 8
"""Leapfrog steps of such a trajectory, each of which gives an example."""

TAIL = 1e-3
"""Share of draws of a normal law beyond the energy that trajectories of every other replica are given."""


def lessons(
    levels: tuple[tuple[LevelKernel, LevelView], ...],
    rungs: tuple[State, ...],
    keys: jax.Array,
    tuning: TuningState,
    data: Data,
) -> dict[str, tuple[Lessons, ...]]:
    """For each level that learns and each rung STEPS + 1 examples a replica. keys: [rungs, R]."""
    return {
        kernel.level.name: tuple(
            _of_rung(view, states, keys[rung], tuning, rung, data)
            for rung, states in enumerate(rungs[: len(tuning.levels[kernel.level.name])])
        )
        for kernel, view in levels
        if kernel.learns
    }


def _of_rung(view: LevelView, states: State, keys: jax.Array, tuning: TuningState, rung: int, data: Data) -> Lessons:
    """The examples of a level's replicas at a rung, replica by replica."""
    known = tuning.levels[view.level.name][rung]
    course = Course(
        view=view,
        data=data,
        factor=jax.tree.map(jnp.asarray, known.factor),
        step=jnp.exp(jnp.asarray(known.log_scale)[0]),
        beta=jnp.asarray(tuning.betas)[rung],
    )
    heat = jnp.where(jnp.arange(len(keys)) % 2 == 0, 1.0, hot(view.level.width))
    found: Lessons = over_replicas(course.trajectory, view.target.dimension)(keys, states.position, heat)
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:]), found)  # type: ignore[no-any-return]


def hot(width: int) -> float:
    """Factor on the momentum of every other replica, at least 1: with it the mean energy of p coordinates and p momenta
    is that of a draw which is as deep as TAIL of them, so that the trajectory comes to where draws are few. A network
    that has seen nothing of tails keeps chains from them."""
    return float(np.sqrt(max(1.0, stats.chi2.isf(TAIL, width) / width - 1.0)))


class Course(NamedTuple):
    """What trajectories of a level's one block go by.

    view: of the level. data: of the model. factor: L, dense or diagonal. step: h, in units of it. beta: inverse
    temperature.
    """

    view: LevelView
    data: Data
    factor: Factor
    step: jax.Array
    beta: jax.Array

    def trajectory(self, key: jax.Array, position: Position, heat: jax.Array) -> Lessons:
        """The points of a leapfrog trajectory from a position, with a fresh momentum times `heat`."""
        evaluate = value_and_gradient(scaled_potential(self.view, position, self.data, self.factor, self.beta))
        advance = stepper(LEAPFROG, hamiltonian_flows(evaluate))
        momentum = heat * normals(key, self.view)
        start = phase_at(evaluate, jnp.zeros_like(momentum), momentum)

        def body(phase: Phase, _: None) -> tuple[Phase, Phase]:
            return advance(self.step, phase), phase

        end, path = jax.lax.scan(body, start, None, length=STEPS)
        path = jax.tree.map(lambda before, last: jnp.concatenate([before, last[None]]), path, end)
        return self._lessons(self.view.blocks(position), path)

    def _lessons(self, origin: jax.Array, path: Phase) -> Lessons:
        """Of phases in units of the factor."""
        factor = jnp.asarray(self.factor)
        matrix = factor[:, :, 0] if factor.ndim == 3 else jnp.diag(factor[:, 0])
        places = origin[:, 0] + path.offset[:, :, 0] @ matrix.T
        slopes = -jnp.linalg.solve(matrix.T, path.gradient[:, :, 0].T).T
        heights = -path.potential[:, 0]
        return Lessons(places, slopes, jnp.full_like(heights, jnp.nan) if self.view.target.auxiliary else heights)
