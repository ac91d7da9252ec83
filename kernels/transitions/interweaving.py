"""Interweaving moves: a scale or a location moves together with everything that it scales or shifts."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.state import Info, State, decide
from kernels.structure.levels import Interweaving, Structure
from kernels.structure.standardised import moved_along
from kernels.target import Target
from kernels.transitions.per_replica import PerReplica
from kernels.types import Data, Position

OrbitPoint = tuple[Position, jax.Array]
"""The moved position and the log Jacobian of the move."""


class InterweavingParameters(NamedTuple):
    """What steers a step.

    number: of the move to make.
    log_scale: log sd of the step of that move's parent (unconstrained).
    """

    number: jax.Array
    log_scale: jax.Array


class Interweave(PerReplica):
    """Random walk along the orbit of one of several scale and location groups. Exact.

    scale: eps ~ N(0, s^2); log sd += eps; x_i <- m + (x_i - m) e^eps for the n coordinates it scales about m;
    log ratio = change of all terms (unconstrained, Jacobians included) + n eps. location: parent += eps, x_i += eps,
    Jacobian 1. standardised: parent += eps, x_i <- m_i' + (x_i - m_i) s_i' / s_i with its prior mean and sd, functions
    of the parent and of what does not move; log Jacobian the sum of log(s_i' / s_i). One global decision.

    The orbits are those on which the prior of the x_i does not change: along one, log sd (or the location) is drawn in
    the non-centred parametrisation, which alternates with the centred one of the levels' own moves.
    Source: Yu and Meng (2011), Journal of Computational and Graphical Statistics 20, 531-570 (interweaving of ancillary
    and sufficient augmentations); Liu and Wu (1999), Journal of the American Statistical Association 94, 1264-1274
    (parameter expansion by a group of transformations); Liu and Sabatti (2000), Biometrika 87, 353-369 (generalised
    Gibbs moves along the orbits of a group, theorem 1 of which has the Jacobian).

    The terms stand once in the compiled program, whatever the number of interweavings.
    """

    exact = True

    def __init__(self, target: Target, structure: Structure, interweavings: tuple[Interweaving, ...]) -> None:
        super().__init__(target.dimension)
        self.target = target
        self.structure = structure
        touched = {site for move in interweavings for site in (move.parent, move.child)}
        self.terms = tuple(term for term, sites in structure.depends.items() if touched & sites)
        self._branches: list[Callable[[Position, jax.Array, Data], OrbitPoint]] = [
            moved_along(target, move) for move in interweavings
        ]

    def one(self, key: jax.Array, state: State, data: Data, parameters: InterweavingParameters) -> tuple[State, Info]:
        """One proposal and one decision."""
        step_key, accept_key = jax.random.split(key)
        eps = jnp.exp(parameters.log_scale) * jax.random.normal(step_key, (), jnp.float64)
        position, log_jacobian = jax.lax.switch(parameters.number, self._branches, state.position, eps, data)
        terms = self.target.log_terms(position, data)
        cells = self.structure.reduce({name: terms[name] for name in self.terms})
        change = sum((jnp.sum(cells[name] - state.cells[name]) for name in self.terms), start=log_jacobian)
        accepted, info = decide(accept_key, change)
        proposed = State(position, {**state.cells, **cells})
        return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state), info
