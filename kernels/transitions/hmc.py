"""Hamiltonian Monte Carlo on all blocks of a level at once, each accepted on its own H: exact."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.forces import kinetic, normals, scaled_potential, value_and_gradient
from kernels.dynamics.integrators import (
    LEAPFROG,
    Flow,
    Phase,
    Scheme,
    ValueAndGradient,
    hamiltonian_flows,
    phase_at,
    stepper,
)
from kernels.dynamics.metric import Factor, multiply
from kernels.dynamics.network import Network, in_place_of
from kernels.dynamics.splitting import Auxiliary, split
from kernels.state import DIVERGENCE, Info, LevelView, State, decide
from kernels.transitions.per_replica import PerReplica
from kernels.types import Data, Position


class HmcParameters(NamedTuple):
    """What steers a trajectory.

    beta: inverse temperature, above 0.
    step_size: h, a scalar or [B], in units of factor.
    factor: L of each block, which must not mix coordinates with padding.
    n_steps: integrator steps of a trajectory, an integer.
    steepest: largest norm of the force, see forces.bounded; not of a network's.
    network: whose slope is the force of a level of one block, where it is trained; None: always the gradient.
    """

    beta: jax.Array
    step_size: jax.Array
    factor: Factor
    n_steps: jax.Array
    steepest: jax.Array | float = np.inf
    network: Network | None = None


class Hmc(PerReplica):
    """One trajectory of every block of a level, accepted each on its own H. Exact.

    x' = x + L q, p ~ N(0, I); n steps of the scheme from (0, p) to (q, p'); accept with probability
    min(1, exp(H - H')), H = -beta * (terms of the block) + |p|^2 / 2. A block whose H' is not finite stays.

    Forces are bounded (forces.bounded): it brings stragglers down steep slopes and hardly shows in equilibrium. A
    network's slope in place of the gradient is a function of the position too, so that the kernel is exact whatever
    the network is, as the end is accepted on the true H; a poor one costs acceptance.

    Assumes that every term touches at most one block of the level: H is then a sum over blocks, one gradient of the
    sum has the forces of all, and B trajectories are run in the time of one, as independent kernels. Each is
    reversible as the scheme is a palindrome of flows that preserve volume; h, L and n may change from step to step as
    long as they do not depend on the level's current values: jitter n (or h) from outside against periodic orbits.

    With `auxiliary` the scheme's `rotate` or `glide` solves the motion under the standard normal term of these
    coordinates, and kicks are by the rest of U (see splitting).

    On the level of all sites the same class moves the whole vector with one decision. n is the same for all
    blocks and replicas of a call: none waits for another. Cost: n * scheme.gradients gradients, one more where
    the scheme begins with a kick, and one evaluation of the level's terms.
    Source: Duane, Kennedy, Pendleton and Roweth (1987), Physics Letters B 195, 216-222; Neal (2011), Handbook of
    Markov Chain Monte Carlo, chapter 5, figure 2 (arXiv 1206.1901).
    """

    exact = True

    def __init__(self, view: LevelView, scheme: Scheme = LEAPFROG, auxiliary: Auxiliary | None = None) -> None:
        if not scheme.palindromic:
            raise ValueError(
                f"scheme {scheme.name!r} was given, whose stages {scheme.stages} do not read the same from both ends: "
                "its steps are not reversible and the kernel would not be exact; give a palindromic scheme"
            )
        super().__init__(view.target.dimension)
        self.view = view
        self.scheme = scheme
        self.auxiliary = auxiliary

    def one(self, key: jax.Array, state: State, data: Data, parameters: HmcParameters) -> tuple[State, Info]:
        """One trajectory of every block and its decision."""
        momentum_key, accept_key = jax.random.split(key)
        momentum = normals(momentum_key, self.view)
        end = self.flow(momentum, state, data, parameters)
        old = self.view.blocks(state.position)
        new = old + multiply(parameters.factor, end.offset)
        cells = self.view.cells_at(self.view.level.scatter(state.position, new), data)
        rise = self.view.change(state.cells, cells, parameters.beta)
        fall = rise + kinetic(momentum) - kinetic(end.momentum)
        accepted, info = decide(accept_key, fall)
        start = self.view.potential(state.cells, parameters.beta) + kinetic(momentum)
        info = with_facts(info, start, fall, accepted, parameters.n_steps, parameters.step_size)
        return self.view.select(accepted, state, new, old, cells), info

    def flow(self, momentum: jax.Array, state: State, data: Data, parameters: HmcParameters) -> Phase:
        """The end of the trajectory that leaves offset 0 with this momentum [p, B]."""
        evaluate, flows = self._motion(state.position, data, parameters)
        advance = stepper(self.scheme, flows)
        start = self._start(evaluate, momentum)
        return jax.lax.fori_loop(0, parameters.n_steps, lambda _, phase: advance(parameters.step_size, phase), start)

    def _start(self, evaluate: ValueAndGradient, momentum: jax.Array) -> Phase:
        """Offset 0 with this momentum; without the force there where no step would look at it."""
        offset = jnp.zeros_like(momentum)
        if not self.scheme.stale:
            return phase_at(evaluate, offset, momentum)
        potential, gradient = (jnp.zeros(unseen.shape) for unseen in jax.eval_shape(evaluate, offset))
        return Phase(offset, momentum, potential, gradient)

    def _motion(
        self, position: Position, data: Data, parameters: HmcParameters
    ) -> tuple[ValueAndGradient, Mapping[str, Flow]]:
        """The force of the scheme's kicks, and its flows."""
        potential = scaled_potential(self.view, position, data, parameters.factor, parameters.beta)
        if self.auxiliary is None:
            evaluate = value_and_gradient(potential, parameters.steepest)
            if parameters.network is not None:
                origin = self.view.blocks(position)
                evaluate = in_place_of(evaluate, parameters.network, origin, parameters.factor)
            return evaluate, hamiltonian_flows(evaluate)
        harmonic = self.auxiliary.harmonic(self.view.blocks(position), parameters.beta)
        return split(value_and_gradient(potential), harmonic, parameters.steepest)


def with_facts(
    info: Info,
    start: jax.Array,
    fall: jax.Array,
    accepted: jax.Array,
    n_steps: jax.Array | int,
    step_size: jax.Array,
) -> Info:
    """What a trajectory of all blocks reports besides its decisions.

    start: H at its start, [B]; fall: start minus H at its end, [B], not finite where that is not; accepted: [B] bool.
    """
    return info._replace(
        n_steps=jnp.asarray(n_steps),
        diverging=jnp.any(~(jnp.isfinite(fall) & (fall >= -DIVERGENCE))),
        step_size=jnp.mean(step_size),
        energy=jnp.sum(jnp.where(accepted, start - fall, start)),
    )
