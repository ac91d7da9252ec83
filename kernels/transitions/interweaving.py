"""Interweaving moves: a scale or a location moves together with everything that it scales or shifts."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.state import Info, State, decide
from kernels.structure.discovery import Interweaving, Structure
from kernels.target import Target
from kernels.types import Data, Position

Moved = tuple[Position, jax.Array]
"""The moved position and the log Jacobian of the move."""


class Controls(NamedTuple):
    """move: number of the move to make; log_scale: log sd of the step of that move's parent (unconstrained)."""

    move: jax.Array
    log_scale: jax.Array


class Interweave:
    """Random walk along the orbit of one of several scale and location groups. Exact.

    scale: eps ~ N(0, s^2); log sd += eps; x_i <- m + (x_i - m) e^eps for the n coordinates it scales about m;
    log ratio = change of all terms (unconstrained, Jacobians included) + n eps. location: parent += eps, x_i += eps,
    Jacobian 1. One global decision. Source: generalised Gibbs moves, Liu and Sabatti (2000); ancillarity-sufficiency
    interweaving, Yu and Meng (2011).

    The terms stand once in the compiled program, whatever the number of moves.
    """

    exact = True

    def __init__(self, target: Target, structure: Structure, moves: tuple[Interweaving, ...]) -> None:
        self.target = target
        self.structure = structure
        touched = {site for move in moves for site in (move.parent, move.child)}
        self.terms = tuple(term for term, sites in structure.depends.items() if touched & sites)
        self._branches: list[Callable[[Position, jax.Array], Moved]] = [partial(_moved, move) for move in moves]

    def step(self, key: jax.Array, state: State, data: Data, controls: Controls) -> tuple[State, Info]:
        """One proposal and one decision."""
        step_key, accept_key = jax.random.split(key)
        eps = jnp.exp(controls.log_scale) * jax.random.normal(step_key, (), jnp.float64)
        position, log_jacobian = jax.lax.switch(controls.move, self._branches, state.position, eps)
        terms = self.target.log_terms(position, data)
        cells = self.structure.reduce({name: terms[name] for name in self.terms})
        change = sum((jnp.sum(cells[name] - state.cells[name]) for name in self.terms), start=log_jacobian)
        accepted, info = decide(accept_key, change)
        proposed = State(position, {**state.cells, **cells})
        return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state), info


def _moved(move: Interweaving, position: Position, eps: jax.Array) -> Moved:
    parent, child = position[move.parent], position[move.child]
    if move.kind == "location":
        return {**position, move.parent: parent + eps, move.child: child + eps}, jnp.zeros(())
    center = position[move.center] if move.center is not None else 0.0
    scaled = center + (child - center) * jnp.exp(eps)
    return {**position, move.parent: parent + eps, move.child: scaled}, child.size * eps
