"""A replica's state with its cached terms, and the view of it that one level's moves need."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.types import Cells, Data, Position

DIVERGENCE = 1000.0
"""Rise of H along a trajectory that is no error of a usable step any more."""


class State(NamedTuple):
    """One replica.

    position: its unconstrained sites.
    cells: every term at that position, summed into cells.
    """

    position: Position
    cells: Cells


class Info(NamedTuple):
    """What a step of a replica reports; None where a kernel has no such thing.

    acceptance_probability: of each decision, [B].
    nonfinite: proposals rejected because their log density was not finite, a count.
    n_steps: integrator steps of the trajectory.
    diverging: whether a block's H rose by more than DIVERGENCE along it, or was not finite at its end.
    step_size: h, the mean over the blocks where it is not the same for all.
    energy: H of the point where the step ends, the sum over the blocks, with the terms of the level alone in U.
    infinite: those of the proposals rejected where the log density was +inf, a mistake of the model, a count.
    """

    acceptance_probability: jax.Array
    nonfinite: jax.Array
    n_steps: jax.Array | None = None
    diverging: jax.Array | None = None
    step_size: jax.Array | None = None
    energy: jax.Array | None = None
    infinite: jax.Array | None = None


def evaluate(target: Target, structure: Structure, position: Position, data: Data) -> State:
    """The state at a position, every term computed anew."""
    return State(position, structure.reduce(target.log_terms(position, data)))


def log_density(cells: Cells) -> jax.Array:
    """Sum of all terms, a scalar."""
    return sum((jnp.sum(values) for values in cells.values()), start=jnp.zeros(()))


class LevelView:
    """Reads and writes the blocks of one level and evaluates only the terms that depend on them.

    Deciding all blocks at once is valid because every term touches at most one block of the level (discovered, and
    audited while running) and the other levels are held fixed.
    """

    def __init__(
        self, target: Target, structure: Structure, level: Level, tempered: frozenset[str] | None = None
    ) -> None:
        """tempered: the terms that an inverse temperature multiplies, all of them if left out."""
        self.target = target
        self.structure = structure
        self.level = level
        self.tempered = tempered

    def blocks(self, position: Position) -> jax.Array:
        """The level's coordinates, [p, B]."""
        return self.level.gather(position)

    def cells_at(self, position: Position, data: Data) -> Cells:
        """The cells of the dependent terms at a position."""
        terms = self.target.log_terms(position, data)
        return self.structure.reduce({name: terms[name] for name in self.level.terms})

    def change(self, old: Cells, new: Cells, beta: jax.Array | float = 1.0) -> jax.Array:
        """Change of the log density at inverse temperature beta that each block owns, [B]; NaN where a new term is not
        finite, at beta = 0 too."""
        total = jnp.zeros(self.level.n_blocks)
        for name in self.level.terms:
            total = total + self.weight(name, beta) * self.level.owners[name].sum(new[name] - old[name])
        return total

    def weight(self, term: str, beta: jax.Array | float) -> jax.Array | float:
        """What multiplies a term at inverse temperature beta."""
        return beta if self.tempered is None or term in self.tempered else 1.0

    def potential(self, cells: Cells, beta: jax.Array | float = 1.0) -> jax.Array:
        """U of each block at inverse temperature beta from the cells of its terms, [B]; not finite where one is not."""
        total = jnp.zeros(self.level.n_blocks)
        for name in self.level.terms:
            total = total - self.weight(name, beta) * self.level.owners[name].sum(cells[name])
        return total

    def select(self, accepted: jax.Array, state: State, blocks: jax.Array, old: jax.Array, cells: Cells) -> State:
        """The state in which the accepted blocks ([B] bool) moved from `old` to `blocks`, their cells with them."""
        position = self.level.scatter(state.position, jnp.where(accepted, blocks, old))
        kept = dict(state.cells)
        for name in self.level.terms:
            moved = self.level.owners[name].spread(accepted, False)
            kept[name] = jnp.where(moved, cells[name], state.cells[name])
        return State(position, kept)


def decide(key: jax.Array, log_ratio: jax.Array) -> tuple[jax.Array, Info]:
    """Metropolis decisions for an array of log ratios; a ratio that is NaN or +inf is rejected and counted.

    -inf is an ordinary rejection of a point outside the support, counted as non-finite all the same; +inf, which no
    density allows, is counted apart as well.
    """
    finite = jnp.isfinite(log_ratio)
    probability = jnp.where(finite, jnp.exp(jnp.minimum(log_ratio, 0.0)), 0.0)
    accepted = jax.random.uniform(key, log_ratio.shape, jnp.float32) < probability
    return accepted, Info(probability, jnp.sum(~finite), infinite=jnp.sum(log_ratio == jnp.inf))
