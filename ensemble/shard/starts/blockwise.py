"""Starts near the typical set of models of many small blocks: draws about each block's mode given what it shares.

Blocks and shared parameters are drawn in turn from normal approximations of their conditional laws about the modes that
Newton's method finds, by an independence step of Metropolis and Hastings. Modes are climbed from the last ones, never
from where the blocks are: that would draw blocks of two modes back to where they are. A start all the same, never a
result: exact kernels take over from there.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.dynamics.metric import WIDEST_DENSE, cholesky, multiply_transposed, solve, solve_transposed
from kernels.state import LevelView, State, evaluate
from kernels.structure.levels import Interweaving, Structure
from kernels.target import Target
from kernels.transitions.interweaving import Interweave, InterweavingParameters
from kernels.types import Data, Position

FEWEST = 1000
"""Blocks of a level for which it is worth its compilation."""
TURNS = 10
"""Draws of every level. Shared parameters forget a share of their start in each, what the data say of the blocks."""
FIRST_STEPS, STEPS = 15, 3
"""Newton steps of a level in the first turn and in the others, which begin near its modes."""
DAMPING, SOFTER, HARDER = 1e-3, 0.2, 10.0
"""Share of the diagonal added to a Hessian at first (Levenberg and Marquardt), and its factors after a step that was
good and one that was not."""
WIDEST = 3.0
"""Largest standard deviation of a draw of a coordinate, of which a block may say nothing, and largest Newton step."""
WIDTHS = 1.0, 0.3, 0.1, 0.03, 0.01
"""Of the steps of a parent that moves with its children, one after another: what suits is not known yet."""
FREEDOM = 5.0
"""Of the Student t that draws are from: heavy tails, lest a far-off block refuse to come."""


class Climb(NamedTuple):
    """Newton's way to the modes of a level's blocks.

    blocks: [p, B].
    potential: minus the log density that each block owns, [B].
    damping: of each block, [B].
    factor: lower, of the Hessian about the blocks before the last step, [p, p, B].
    """

    blocks: jax.Array
    potential: jax.Array
    damping: jax.Array
    factor: jax.Array


class Bowl(NamedTuple):
    """A potential about the present blocks: its gradient [p, B] and Hessian [p, p, B]."""

    gradient: jax.Array
    hessian: jax.Array


def misfit(target: Target, structure: Structure) -> str | None:
    """Why a model has no such starts, as a clause on it; None where it may."""
    if not target.has_gradient:
        return "has no gradient to climb"
    if target.auxiliary:
        return "has auxiliary variables"
    for level in structure.levels:
        if level.width > WIDEST_DENSE:
            return f"has blocks of {level.width} coordinates (level {level.name!r}), more than {WIDEST_DENSE}"
    return None


def suits(target: Target, structure: Structure) -> bool:
    """Whether a model has many small blocks: FEWEST leaves of a level or more, and all blocks narrow."""
    leaves = max((level.n_blocks for level in structure.levels if level.leaf), default=0)
    return leaves >= FEWEST and misfit(target, structure) is None


class Place(NamedTuple):
    """Where a path of starts stands.

    position: the last draws.
    modes: of every block, given what it shared when they were climbed last.
    """

    position: Position
    modes: Position


Turn = Callable[[jax.Array, Place, Data, jax.Array], Place]
"""(key, place, data, Newton steps) -> the place with every level drawn anew."""


def one_turn(target: Target, structure: Structure, interweavings: tuple[Interweaving, ...] = ()) -> Turn:
    """A turn of all levels, fine ones first, and of the moves of parents together with their children."""
    levels = [Levelwise(LevelView(target, structure, level)) for level in reversed(structure.levels)]
    interweave = Interweave(target, structure, interweavings)
    widths = jnp.tile(jnp.log(jnp.asarray(WIDTHS)), len(interweavings))

    def turn(key: jax.Array, place: Place, data: Data, steps: jax.Array) -> Place:
        for number, level in enumerate(levels):
            place = level.drawn(jax.random.fold_in(key, number), place, data, steps)
        if not interweavings:
            return place

        def move(number: jax.Array, state: State) -> State:
            parameters = InterweavingParameters(number // len(WIDTHS), widths[number])
            fresh = jax.random.fold_in(key, len(levels) + number)
            moved: State = interweave.one(fresh, state, data, parameters)[0]
            return moved

        state = evaluate(target, structure, place.position, data)
        return place._replace(position=jax.lax.fori_loop(0, len(widths), move, state).position)

    return turn


def turned(turn: Turn, key: jax.Array, start: Position, data: Data, replicas: int) -> list[Position]:
    """Starts of so many replicas, whose shared parameters follow one path; each takes the last turn on its own. `turn`
    compiled: so it is once for all turns."""
    place = Place(start, start)
    for number in range(TURNS):
        steps = jnp.asarray(STEPS if number else FIRST_STEPS)
        place = turn(jax.random.fold_in(key, number), place, data, steps)
    return [turn(jax.random.fold_in(key, TURNS + r), place, data, jnp.asarray(STEPS)).position for r in range(replicas)]


class Levelwise:
    """Draws of the blocks of one level, all at once, about their modes given the other levels."""

    def __init__(self, view: LevelView) -> None:
        self.view, self.level = view, view.level

    def drawn(self, key: jax.Array, place: Place, data: Data, steps: jax.Array) -> Place:
        """The place with this level's blocks drawn anew."""
        potential = partial(self._potential, place.position, data)
        old, mode = self.level.gather(place.position), self.level.gather(place.modes)
        width, count = old.shape
        begin = Climb(mode, potential(mode), jnp.full(count, DAMPING), jnp.zeros((width, width, count)))
        climb = jax.lax.fori_loop(0, steps, lambda _, now: self._step(potential, now), begin)
        noise_key, width_key, accept_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, old.shape)
        noise = noise if self.level.mask is None else noise * self.level.mask
        noise = noise * jnp.sqrt(0.5 * FREEDOM / jax.random.gamma(width_key, 0.5 * FREEDOM, (count,)))
        new = climb.blocks + solve_transposed(climb.factor, noise)
        behind = multiply_transposed(climb.factor, old - climb.blocks)
        ratio = potential(old) - potential(new) + self._log_density(behind) - self._log_density(noise)
        accepted = jnp.log(jax.random.uniform(accept_key, (count,))) < jnp.where(jnp.isnan(ratio), -jnp.inf, ratio)
        scatter = self.level.scatter
        return Place(scatter(place.position, jnp.where(accepted, new, old)), scatter(place.modes, climb.blocks))

    def _log_density(self, standardised: jax.Array) -> jax.Array:
        """Of the Student t of the proposals, in units of the factor and but for a constant, [B]."""
        square = jnp.sum(standardised**2, axis=0)
        return -0.5 * jnp.asarray(FREEDOM + self.level.sizes) * jnp.log1p(square / FREEDOM)

    def _potential(self, position: Position, data: Data, blocks: jax.Array) -> jax.Array:
        return self.view.potential(self.view.cells_at(self.level.scatter(position, blocks), data))

    def _bowl(self, potential: Callable[[jax.Array], jax.Array], blocks: jax.Array) -> Bowl:
        """Blocks do not touch each other, so that a direction of all of them at once gives a column of each Hessian."""
        gradient = jax.grad(lambda x: jnp.sum(potential(x)))
        directions = jnp.broadcast_to(jnp.eye(len(blocks))[:, :, None], (len(blocks), *blocks.shape))
        columns = jax.lax.map(lambda along: jax.jvp(gradient, (blocks,), (along,))[1], directions)
        return Bowl(gradient(blocks), 0.5 * (columns + jnp.swapaxes(columns, 0, 1)))

    def _factor(self, bowl: Bowl, damping: jax.Array) -> jax.Array:
        """Lower factor of the damped Hessian; of its diagonal's absolute values where it is not positive definite."""
        diagonal = jnp.maximum(jnp.abs(jnp.einsum("iib->ib", bowl.hessian)), WIDEST**-2)
        if self.level.mask is not None:
            diagonal = jnp.where(self.level.mask, diagonal, 1.0)
        eye = jnp.eye(len(diagonal))[:, :, None]
        factor = cholesky(bowl.hessian + eye * (damping * diagonal)[None])
        sound = jnp.all(jnp.isfinite(factor), axis=(0, 1))
        return jnp.where(sound, factor, eye * jnp.sqrt(diagonal)[None])

    def _step(self, potential: Callable[[jax.Array], jax.Array], now: Climb) -> Climb:
        bowl = self._bowl(potential, now.blocks)
        factor = self._factor(bowl, now.damping)
        move = -solve_transposed(factor, solve(factor, jnp.nan_to_num(bowl.gradient)))
        there = now.blocks + jnp.clip(move, -WIDEST, WIDEST)
        value = potential(there)
        # From where the density is not finite, anywhere with one is better.
        lower = jnp.isfinite(value) & ((value < now.potential) | ~jnp.isfinite(now.potential))
        return Climb(
            jnp.where(lower, there, now.blocks),
            jnp.where(lower, value, now.potential),
            jnp.clip(now.damping * jnp.where(lower, SOFTER, HARDER), DAMPING, 1e6),
            self._factor(bowl, jnp.asarray(DAMPING)),
        )
