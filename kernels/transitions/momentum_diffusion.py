"""Momentum-diffusion dynamics with SPSA forces: an approximate scout, from dispersed starts to the typical set."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.dynamics.forces import kinetic, normals, scaled_potential, spsa_force
from kernels.state import State
from kernels.transitions.spsa_trajectory import SpsaTrajectory
from kernels.types import Data

STRONGEST_CONTROL = 0.5
"""The control force changes a momentum by at most this fraction in one step: far from equilibrium, where H - H0 is in
the thousands, the linear law would reverse the momentum and blow it up."""

FARTHEST_PUSH = 1.0
"""No kick sends a coordinate further in one step than this, in units of scale: one step size serves the whole ensemble,
and a straggler on a slope far steeper than the others' would be thrown out of sight."""


class MomentumDiffusionParameters(NamedTuple):
    """What steers a trajectory. All but scale are scalars or [B].

    step_size: h, in units of scale.
    scale: [p, B], the coordinates' scales (a diagonal mass).
    difference: c of SPSA, in units of scale.
    noise: sigma.
    viscosity: kappa.
    hot_start: factor of the initial momentum (1 none; 2 to 4 punch through barriers at kappa = 0.05, while 0.3 cools
        them too soon).
    trigger: the change of H in a step, in units of the log density, beyond which the momentum is resampled.
    delta: the tolerance of H, in the same units.
    slack: the error in H that is forgiven for each unit of log density that a point gains.
    """

    step_size: jax.Array
    scale: jax.Array
    difference: jax.Array
    noise: jax.Array
    viscosity: jax.Array
    hot_start: jax.Array
    trigger: jax.Array
    delta: jax.Array
    slack: jax.Array


class ScoutInfo(NamedTuple):
    """What a trajectory of a replica reports.

    score: energy score of the flow, in [0, 1], the signal to adapt `step_size` by, [B].
    moved: whether the chosen point is not the start, [B].
    triggered: fraction of steps after which the momentum was resampled, [B].
    nonfinite: points whose log density was not finite, a count.
    """

    score: jax.Array
    moved: jax.Array
    triggered: jax.Array
    nonfinite: jax.Array


class _Walk(NamedTuple):
    """A trajectory so far: where it is, [p, B] and [B], the point chosen so far, and what Info reports."""

    offset: jax.Array
    momentum: jax.Array
    potential: jax.Array
    slip: jax.Array
    chosen: jax.Array
    best: jax.Array
    score: jax.Array
    triggered: jax.Array
    nonfinite: jax.Array


class MomentumDiffusion(SpsaTrajectory):
    """Noisy, energy-controlled Hamiltonian trajectories of all blocks of a level. Approximate: no known invariant law.

    Per block, with U = -(log density of the block's terms) and p ~ N(0, I): H0 = U + |p|^2 / 2, then p *= hot_start.
    Each of n steps: q += h p, p += -h g + sigma sqrt(h) xi - h kappa (H - H0) p, with g the SPSA estimate of grad U.
    The drift is split in halves round the kick, so that H is conserved to O(h^2) at the points. Kicks are cut at
    FARTHEST_PUSH / h. A step whose flow changes H by more than `trigger` resamples the whole momentum; so does one
    that ends at a non-finite point, which is taken back. One point of the trajectory, its start included, is chosen
    with weight exp(-((H - H0) / delta)^2 + lp), by the Gumbel-max rule on the way, so that no points are stored. A
    block without a finite new point, or at a non-finite start, stays.

    Tolerance: a start 50 sd away has an energy of thousands, and every usable step misses H by far more than a delta
    that suits equilibrium. So at a point that is higher than the start by `gain` in log density, delta and trigger
    are widened by max(1, slack gain / delta): what counts is the error relative to the descent. In the typical set
    the gain is of order p / 2 and the rule is the plain one. slack = 0 turns it off.

    Signal: `score` is the mean over points of exp(-(E / delta)^2), with the widened delta and with E the energy
    error that the flow alone has accumulated: what noise, control, hot start and resampling change on purpose is not
    in it. It falls from 1 to 0 as h grows, far away as well as in equilibrium, and is 0 for non-finite points, so
    that log h += mean score - 0.7, the mean taken over replicas and the steps of a round, settles. The fraction of
    effective points is no such signal: on a steep descent one point has all the weight, however good the step is.
    Keep scale near the ensemble's sd; when it changes, change h inversely.

    Cost: n (2 K + 1) + 1 evaluations of the level's terms. SPSA's noise grows with p: widths of 1 to 6 are its place.
    The ensemble ends too narrow (E q^2 about 0.5 of the target's at hot_start 1) or too wide (2 at hot_start 2), so
    never record its draws as posterior draws.
    """

    exact = False

    def one(
        self, key: jax.Array, state: State, data: Data, parameters: MomentumDiffusionParameters
    ) -> tuple[State, ScoutInfo]:
        """One trajectory of every block and the choice of one of its points."""
        momentum_key, choice_key, walk_key = jax.random.split(key, 3)
        momentum = normals(momentum_key, self.view)
        potential = self.view.potential(state.cells)
        target = potential + kinetic(momentum)
        walk = self._start(choice_key, potential, target, parameters.hot_start * momentum, parameters)
        advance = self._flow(state, data, target, parameters)
        walk, _ = jax.lax.scan(advance, walk, jax.random.split(walk_key, self.n_steps))
        return self._arrive(state, data, walk, parameters)

    def _start(
        self,
        key: jax.Array,
        potential: jax.Array,
        target: jax.Array,
        momentum: jax.Array,
        parameters: MomentumDiffusionParameters,
    ) -> _Walk:
        excess = potential + kinetic(momentum) - target
        best = jax.random.gumbel(key, potential.shape) - potential - (excess / parameters.delta) ** 2
        nothing, still = jnp.zeros_like(potential), jnp.zeros_like(momentum)
        count = jnp.zeros((), jnp.int64)
        return _Walk(still, momentum, potential, nothing, still, best, nothing, nothing, count)

    def _flow(
        self, state: State, data: Data, target: jax.Array, parameters: MomentumDiffusionParameters
    ) -> Callable[[_Walk, jax.Array], tuple[_Walk, None]]:
        """One step of the scheme, for lax.scan over keys."""
        potential = scaled_potential(self.view, state.position, data, parameters.scale)
        force = spsa_force(self.view, potential, parameters.difference, self.directions)
        start = self.view.potential(state.cells)
        h = parameters.step_size

        def advance(walk: _Walk, key: jax.Array) -> tuple[_Walk, None]:
            force_key, noise_key, momentum_key, choice_key = jax.random.split(key, 4)
            middle = walk.offset + 0.5 * h * walk.momentum
            kick = jnp.clip(h * force(force_key, middle), -FARTHEST_PUSH / h, FARTHEST_PUSH / h)
            pushed = walk.momentum - kick
            offset = middle + 0.5 * h * pushed
            arrived = potential(offset)
            error = arrived + kinetic(pushed) - walk.potential - kinetic(walk.momentum)
            excess = arrived + kinetic(pushed) - target
            finite = jnp.isfinite(error)
            widening = jnp.maximum(1.0, parameters.slack * (start - arrived) / parameters.delta)
            control = jnp.clip(h * parameters.viscosity * excess, -STRONGEST_CONTROL, STRONGEST_CONTROL)
            noise = parameters.noise * jnp.sqrt(h) * normals(noise_key, self.view)
            reset = ~finite | (jnp.abs(error) > parameters.trigger * widening)
            momentum = jnp.where(reset, normals(momentum_key, self.view), pushed * (1.0 - control) + noise)
            weight = -((excess / (parameters.delta * widening)) ** 2) - arrived
            score = jnp.where(finite, weight + jax.random.gumbel(choice_key, weight.shape), -jnp.inf)
            slip = jnp.where(finite, walk.slip + error, walk.slip)
            fit = jnp.where(finite, jnp.exp(-((slip / (parameters.delta * widening)) ** 2)), 0.0)
            better = score > walk.best
            return _Walk(
                offset=jnp.where(finite, offset, walk.offset),
                momentum=momentum,
                potential=jnp.where(finite, arrived, walk.potential),
                slip=slip,
                chosen=jnp.where(better, offset, walk.chosen),
                best=jnp.where(better, score, walk.best),
                score=walk.score + fit,
                triggered=walk.triggered + reset,
                nonfinite=walk.nonfinite + jnp.sum(~finite),
            ), None

        return advance

    def _arrive(
        self, state: State, data: Data, walk: _Walk, parameters: MomentumDiffusionParameters
    ) -> tuple[State, ScoutInfo]:
        """The state at the chosen points, its cells computed anew there."""
        old = self.view.blocks(state.position)
        new = old + parameters.scale * walk.chosen
        cells = self.view.cells_at(self.view.level.scatter(state.position, new), data)
        moved = jnp.any(walk.chosen != 0.0, axis=0)
        info = ScoutInfo(walk.score / self.n_steps, moved, walk.triggered / self.n_steps, walk.nonfinite)
        return self.view.select(moved, state, new, old, cells), info
