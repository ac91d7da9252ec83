"""Forces: the gradient of the potential of every block, exact or estimated by simultaneous perturbation (SPSA).

Every force has one signature, force(key, offsets) -> gradient, both [p, B]; the exact one ignores its key. The
potential is that of each block on its own terms, [B], so that the noise of an estimate is that of the block's own
width p. The force on the whole vector is the same thing on the level `whole_level`: p = d, B = 1.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from kernels.layout import layout
from kernels.segments import segments
from kernels.state import LevelView
from kernels.structure import Level, Structure
from kernels.target import Target
from kernels.types import Cells, Data, Position

Potential = Callable[[jax.Array], jax.Array]
"""offsets [p, B] -> U = -(log density of each block's own terms), [B]."""

Force = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, offsets [p, B]) -> dU / d offsets, [p, B]."""


class Trajectory:
    """What kernels of trajectories are made of: a level's view, steps in a trajectory, directions in an SPSA force."""

    def __init__(self, view: LevelView, n_steps: int = 10, directions: int = 1) -> None:
        if n_steps < 1 or directions < 1:
            raise ValueError(f"n_steps = {n_steps} and directions = {directions} were given; both must be 1 or more")
        self.view = view
        self.n_steps = n_steps
        self.directions = directions


def whole_level(target: Target, structure: Structure) -> Level:
    """All sites in one block: a level whose moves are those of the whole vector, with one decision."""
    shapes = {name: site.shape for name, site in target.sites.items()}
    arranged = layout(shapes, {name: np.zeros(shape, np.int64) for name, shape in shapes.items()})
    owners = {term: segments(np.zeros(cells.n, np.int32), 1) for term, cells in structure.cells.items()}
    return Level(
        name="whole",
        sites=tuple(shapes),
        n_blocks=1,
        width=int(arranged.sizes[0]),
        sizes=arranged.sizes,
        terms=tuple(structure.cells),
        owners=owners,
        leaf=True,
        mask=None,
        layout=arranged,
    )


def block_potential(view: LevelView, cells: Cells) -> jax.Array:
    """U of each block from the cells of its terms, [B]; not finite where one of them is not."""
    total = jnp.zeros(view.level.n_blocks)
    for name in view.level.terms:
        total = total - view.level.owners[name].sum(cells[name])
    return total


def scaled_potential(
    view: LevelView, position: Position, data: Data, scale: jax.Array, beta: jax.Array | float = 1.0
) -> Potential:
    """U at the position with the level's blocks at x + scale * offset, other levels fixed; scale [p, B], beta > 0.

    Measuring offsets in units of `scale` is a diagonal mass matrix: one step size then serves every coordinate, and
    offset 0 gives back the position to the last bit.
    """
    origin = view.blocks(position)

    def potential(offset: jax.Array) -> jax.Array:
        moved = view.level.scatter(position, origin + scale * offset)
        return beta * block_potential(view, view.cells_at(moved, data))

    return potential


def exact_force(potential: Potential) -> Force:
    """dU / d offsets by automatic differentiation: a block's sum of terms depends on no other block of its level."""
    gradient = jax.grad(lambda offset: jnp.sum(potential(offset)))
    return lambda key, offset: gradient(offset)


def spsa_force(view: LevelView, potential: Potential, difference: jax.Array | float, directions: int) -> Force:
    """Mean over K directions of g = Delta (U(q + c Delta) - U(q - c Delta)) / (2 c), Delta uniform on {-1, +1}^p.

    Two evaluations a direction whatever p and B: every block reads only its own difference. E g = grad U + O(c^2) and
    E |g|^2 = p |grad U|^2 at K = 1. A difference that is not finite counts as no force.
    Source: Spall (1992), IEEE Transactions on Automatic Control 37, 332-341.
    """

    def force(key: jax.Array, offset: jax.Array) -> jax.Array:
        def one(total: jax.Array, direction_key: jax.Array) -> tuple[jax.Array, None]:
            delta = signs(direction_key, view)
            rise = potential(offset + difference * delta) - potential(offset - difference * delta)
            slope = jnp.where(jnp.isfinite(rise), rise / (2.0 * difference), 0.0)
            return total + delta * slope, None

        if directions == 1:
            return one(jnp.zeros_like(offset), key)[0]
        return jax.lax.scan(one, jnp.zeros_like(offset), jax.random.split(key, directions))[0] / directions

    return force


def signs(key: jax.Array, view: LevelView) -> jax.Array:
    """Delta: independent random signs, [p, B], 0 where a block is narrower than p."""
    return masked(view, jax.random.rademacher(key, _shape(view), jnp.float64))


def normals(key: jax.Array, view: LevelView) -> jax.Array:
    """Independent standard normals, [p, B], 0 where a block is narrower than p."""
    return masked(view, jax.random.normal(key, _shape(view), jnp.float32).astype(jnp.float64))


def masked(view: LevelView, values: jax.Array) -> jax.Array:
    """The values with 0 where a block is narrower than p."""
    return values if view.level.mask is None else values * view.level.mask


def kinetic(momentum: jax.Array) -> jax.Array:
    """|p|^2 / 2 of each block, [B]; momentum [p, B]."""
    return 0.5 * jnp.sum(momentum**2, axis=0)


def _shape(view: LevelView) -> tuple[int, int]:
    return view.level.width, view.level.n_blocks
