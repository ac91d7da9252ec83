"""Hamiltonian Monte Carlo with SPSA forces and a true accept: gradient-free and exact."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.dynamics.forces import kinetic, normals, scaled_potential, spsa_force
from kernels.state import Info, State, decide
from kernels.transitions.hmc import with_facts
from kernels.transitions.spsa_trajectory import SpsaTrajectory
from kernels.types import Data


class GradientFreeHmcParameters(NamedTuple):
    """What steers a trajectory.

    beta: inverse temperature.
    step_size: h, a scalar or [B], in units of scale.
    scale: [p, B], the coordinates' scales (a diagonal mass).
    difference: c of SPSA, in units of scale.
    """

    beta: jax.Array
    step_size: jax.Array
    scale: jax.Array
    difference: jax.Array


class GradientFreeHMC(SpsaTrajectory):
    """Drift-kick-drift with SPSA forces, every block accepted on its own true H. Exact, whatever the forces are.

    p ~ N(0, I); for each of n steps with its own random directions Delta: q += h p / 2, p -= h g(q, Delta),
    q += h p / 2; accept with probability min(1, exp(H - H')), H = -beta * (terms of the block) + |p|^2 / 2.

    Why: the Deltas are drawn independently of the state. For fixed Deltas a kick is a shear, p -> p + f(q), whether
    or not f is a gradient, so the map preserves volume; run from (q', -p') with the Deltas in reverse order it leads
    back to (q, -p), and the reversed sequence is as likely. So the kernel is a mixture of reversible kernels.

    On the level of all sites the same class moves the whole vector with one decision. Energy errors grow with
    the noise of the forces, a variance of order h (p - 1) / K a unit of time: for wide blocks h shrinks, without a gain
    from K that outdoes its cost. On the Gaussian with sds (1, .5, 2), h = 0.133, n = 10, scale 1: acceptance 0.58 at
    K = 1, 0.75 at 3. Cost: 2 K n + 1 evaluations of the level's terms.
    """

    exact = True

    def one(
        self, key: jax.Array, state: State, data: Data, parameters: GradientFreeHmcParameters
    ) -> tuple[State, Info]:
        """One trajectory of every block."""
        momentum_key, direction_key, accept_key = jax.random.split(key, 3)
        momentum = normals(momentum_key, self.view)
        keys = jax.random.split(direction_key, self.n_steps)
        offset, pushed = self.flow(keys, jnp.zeros_like(momentum), momentum, state, data, parameters)
        old = self.view.blocks(state.position)
        new = old + parameters.scale * offset
        cells = self.view.cells_at(self.view.level.scatter(state.position, new), data)
        rise = self.view.change(state.cells, cells, parameters.beta)
        fall = rise + kinetic(momentum) - kinetic(pushed)
        accepted, info = decide(accept_key, fall)
        start = self.view.potential(state.cells, parameters.beta) + kinetic(momentum)
        info = with_facts(info, start, fall, accepted, self.n_steps, parameters.step_size)
        return self.view.select(accepted, state, new, old, cells), info

    def flow(
        self,
        keys: jax.Array,
        offset: jax.Array,
        momentum: jax.Array,
        state: State,
        data: Data,
        parameters: GradientFreeHmcParameters,
    ) -> tuple[jax.Array, jax.Array]:
        """n steps of drift-kick-drift of (offset, momentum), [p, B] both, a key of the directions [n] for each."""
        potential = scaled_potential(self.view, state.position, data, parameters.scale, parameters.beta)
        force = spsa_force(self.view, potential, parameters.difference, self.directions)

        def advance(walk: tuple[jax.Array, jax.Array], key: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
            offset, momentum = walk
            middle = offset + 0.5 * parameters.step_size * momentum
            pushed = momentum - parameters.step_size * force(key, middle)
            return (middle + 0.5 * parameters.step_size * pushed, pushed), None

        return jax.lax.scan(advance, (offset, momentum), keys)[0]
