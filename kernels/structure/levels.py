"""What is found of a target: levels of blocks, cells of terms, groups under which a parent moves with its children."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.numerics.special import materialised
from kernels.structure.layout import BlockLayout
from kernels.structure.segments import Segments
from kernels.types import Cells, Position, Terms


class Interweaving(NamedTuple):
    """A group under which the prior of `child` is invariant: see find_interweavings.

    kind: scale: parent += eps, child <- m + (child - m) e^(power eps); location: parent += eps, child += eps;
        standardised: parent += eps, the child stays the same number of its prior standard deviations from its prior
        mean, see kernels.structure.standardised.
    parent: a site, the log of a scale (or of a power of one) or a location.
    child: the site that is scaled or shifted along.
    center: the site that is m, None for m = 0.
    power: of e^parent that scales: 1 for the log of a standard deviation, 1/2 of a variance, -1/2 of a precision.
    place: along the last axis of parent, child and (where it is no scalar) center: the coordinate that is moved, with
        all children there; None: a scalar parent and all of the child. standardised: of the parent alone.
    terms: standardised: the prior terms that are the child's law.
    """

    kind: Literal["scale", "location", "standardised"]
    parent: str
    child: str
    center: str | None
    power: float = 1.0
    place: int | None = None
    terms: tuple[str, ...] = ()


def along(move: Interweaving, position: Position, eps: jax.Array) -> tuple[Position, jax.Array]:
    """The position after a move of a scale or location group by eps, and the log of its Jacobian."""
    last = ... if move.place is None else (..., move.place)
    parent, child = position[move.parent], position[move.child]
    moved = child[last]
    if move.kind == "location":
        following, log_jacobian = moved + eps, jnp.zeros(())
    else:
        center = jnp.zeros(()) if move.center is None else position[move.center]
        center = center if center.ndim == 0 else center[last]
        following = center + (moved - center) * jnp.exp(move.power * eps)
        log_jacobian = moved.size * move.power * eps
    both = {move.parent: parent.at[last].add(eps), move.child: child.at[last].set(following)}
    return {**position, **both}, log_jacobian


@dataclass(frozen=True, eq=False)
class Level:
    """Sites updated together, in blocks that no term ties together.

    name: "global", or the plates joined with "*".
    sites: their names, in the order in which their coordinates lie in a block.
    n_blocks: B.
    width: p, coordinates of the largest block.
    sizes: [B] coordinates of each block.
    terms: those that depend on any of the sites.
    owners: term -> cells -> blocks.
    leaf: no finer level lies inside this one, so that its blocks may move alone.
    mask: [p, B], which entries of the gathered blocks are coordinates; None when all are.
    layout: where the sites' coordinates lie in [p, B].
    """

    name: str
    sites: tuple[str, ...]
    n_blocks: int
    width: int
    sizes: np.ndarray
    terms: tuple[str, ...]
    owners: Mapping[str, Segments]
    leaf: bool
    mask: np.ndarray | None
    layout: BlockLayout

    def gather(self, position: Position) -> jax.Array:
        """The level's coordinates [p, B], padded with 0."""
        return self.layout.gather(position)

    def scatter(self, position: Position, blocks: jax.Array) -> Position:
        """`position` with this level's sites taken from the blocks [p, B]."""
        return self.layout.scatter(position, blocks)


@dataclass(frozen=True, eq=False)
class Structure:
    """The factor structure of a target.

    levels: coarse to fine.
    cells: term -> elements -> cells.
    depends: term -> the sites that it depends on.
    joined: a sentence for each join of blocks.
    """

    levels: tuple[Level, ...]
    cells: Mapping[str, Segments]
    depends: Mapping[str, frozenset[str]]
    joined: tuple[str, ...]

    def reduce(self, terms: Terms) -> Cells:
        """The given terms, each summed over the elements of its cells, float64.

        Terms are materialised, lest they be computed anew for every use of the cells (proposal, decision, cache).
        """
        return {name: self.cells[name].sum(materialised(v.astype(jnp.float64))) for name, v in terms.items()}

    def level(self, name: str) -> Level:
        """The level of this name."""
        for level in self.levels:
            if level.name == name:
                return level
        raise KeyError(f"no level {name!r}; there are {', '.join(level.name for level in self.levels)}")
