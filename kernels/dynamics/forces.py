"""Forces: the gradient of the potential of every block, exact or estimated by simultaneous perturbation (SPSA).

An exact force comes with the potential, offsets -> (U [B], gradient [p, B]); an estimated one draws its directions,
force(key, offsets) -> gradient. The potential is that of each block on its own terms, so that the noise of an estimate
is that of the block's own width p. The force on the whole vector is the same thing on the level of all sites
(`joining.level_of_all_sites`): p = d, B = 1.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.integrators import ValueAndGradient
from kernels.dynamics.metric import Factor, multiply
from kernels.numerics.batching import over_replicas
from kernels.state import LevelView
from kernels.types import Data, Position

Potential = Callable[[jax.Array], jax.Array]
"""offsets [p, B] -> U = -(log density of each block's own terms), [B]."""

Force = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, offsets [p, B]) -> an estimate of dU / d offsets, [p, B]."""


def scaled_potential(
    view: LevelView, position: Position, data: Data, factor: Factor, beta: jax.Array | float = 1.0
) -> Potential:
    """U at the position with the level's blocks at x + L offset, other levels fixed; L: a factor of `metric`.

    Measuring offsets in units of L is a mass matrix (L L')^-1: one step size then serves every coordinate, and offset 0
    gives back the position to the last bit.
    """
    origin = view.blocks(position)

    def potential(offset: jax.Array) -> jax.Array:
        moved = view.level.scatter(position, origin + multiply(factor, offset))
        return view.potential(view.cells_at(moved, data), beta)

    return potential


def log_density_gradient(view: LevelView, position: Position, data: Data, beta: jax.Array | float = 1.0) -> jax.Array:
    """d log density / d x of the level's coordinates at inverse temperature beta, [p, B]; 0 in padding."""
    potential = scaled_potential(view, position, data, jnp.ones(_shape(view)), beta)
    return masked(view, -jax.grad(lambda offset: jnp.sum(potential(offset)))(jnp.zeros(_shape(view))))


def log_density_gradients(view: LevelView, positions: Position, data: Data, beta: jax.Array | float = 1.0) -> jax.Array:
    """The same of every replica, [R, p, B]; positions with a leading axis R."""
    slope = partial(log_density_gradient, view, data=data, beta=beta)
    found: jax.Array = over_replicas(slope, view.target.dimension)(positions)
    return found


def bounded(gradient: jax.Array, steepest: jax.Array | float, axis: int) -> jax.Array:
    """The gradient with its norm along `axis` cut to `steepest`; 0 where it is not finite.

    One step size serves the whole ensemble: a straggler on a slope far steeper than the others' would overshoot in
    every trajectory and never come down. The bounded force is still a function of the position alone: a kick by it
    preserves volume and is undone with the momentum reversed, so what is accepted on the true H is exact.
    Source: trajectories by another force than the gradient, Neal (2011), Handbook of Markov Chain Monte Carlo, section
    5.5; the cut is that of the drift in the truncated Langevin algorithm, Roberts and Tweedie (1996), Bernoulli 2,
    341-363.
    """
    square = jnp.sum(gradient**2, axis=axis, keepdims=True)
    steep = square > steepest**2
    cut = jnp.where(steep, gradient * (steepest / jnp.sqrt(jnp.where(steep, square, 1.0))), gradient)
    return jnp.where(jnp.isfinite(square), cut, 0.0)


def value_and_gradient(potential: Potential, steepest: jax.Array | float = np.inf) -> ValueAndGradient:
    """offsets [p, B] -> (U of each block [B], dU / d offsets [p, B], of norm `steepest` at most).

    It differentiates the sum over blocks: a block's U depends on no other block, so that one that is not finite
    spoils no other's gradient.
    """

    def total(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        blocks = potential(offset)
        return jnp.sum(blocks), blocks

    def evaluate(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        (_, blocks), gradient = jax.value_and_grad(total, has_aux=True)(offset)
        return blocks, bounded(gradient, steepest, axis=0)

    return evaluate


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
