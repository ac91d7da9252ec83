"""Starts drawn from approximations of the posterior that BlackJAX fits, each from a prior start of its own.

An approximation is a start, never a result: its draws are spread out, and exact kernels take over from there.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from blackjax.vi import meanfield_vi, pathfinder
from jax.flatten_util import ravel_pytree

from ensemble.shard.starts.density import density_of
from kernels.target import Target
from kernels.types import Data, Position, Start

ITERATIONS = 50
"""Steps of the quasi-Newton path, at most."""
MEMORY = 6
"""Steps that its curvature is estimated from (J of the paper)."""
LINE_SEARCH = 50
"""Evaluations in one line search, at most."""
EVALUATED = 10_000_000
"""Coordinates of all draws whose densities are compared along one path: they lie in memory together."""
STEPS = 1000
"""Steps of the variational optimiser."""
RATE = 0.1
"""Its first step size, in unconstrained units; it falls to 0 along a cosine."""
SAMPLES = 4
"""Draws behind each of its gradients."""


def path_draws(dimension: int) -> int:
    """Draws that judge one point of a path: 25, fewer where they would fill the memory."""
    return int(np.clip(EVALUATED // ((ITERATIONS + 1) * dimension), 4, 25))


def pathfinder_start(target: Target, spread: float) -> Start:
    """One draw from the normal approximation of highest ELBO along one path of L-BFGS (Zhang, Carpenter, Gelman and
    Vehtari 2022, Pathfinder: parallel quasi-Newton variational inference, JMLR 23, algorithm 3).

    x = m + spread L u, u ~ N(0, 1), with L L' = H the inverse Hessian at the point p of the path and m = p + H g its
    mean, g the gradient of the log density. NaN where no point of the path has a finite ELBO.
    """
    judged = path_draws(target.dimension)

    def start(key: jax.Array, data: Data) -> Position:
        first, climb, draw = jax.random.split(key, 3)
        begin = _doubles(target.initial(first, data))
        limits = {"maxiter": ITERATIONS, "maxcor": MEMORY, "maxls": LINE_SEARCH}
        found, _ = pathfinder.approximate(climb, density_of(target, data), begin, judged, **limits)
        return _spread_draw(draw, found, spread)

    return start


def _spread_draw(key: jax.Array, found: pathfinder.PathfinderState, spread: float) -> Position:
    """A draw of a path's best approximation, its deviation from the mean times `spread`.

    BlackJAX 1.7.1 keeps the gradient of minus the log density, and adds H times it where m needs it subtracted: its
    draws lie as far beyond p as m lies ahead, so they are taken about p and moved.
    """
    (point, unravel), (slope, _) = ravel_pytree(found.position), ravel_pytree(found.grad_position)
    still = found._replace(grad_position=unravel(jnp.zeros_like(slope)))
    deviation = ravel_pytree(pathfinder.sample(key, still)[0])[0] - point
    ahead = found.alpha * slope + found.beta @ (found.gamma @ (found.beta.T @ slope))
    drawn = point - ahead + spread * deviation
    return unravel(jnp.where(jnp.isfinite(found.elbo), drawn, jnp.nan))


def variational_start(target: Target, spread: float) -> Start:
    """One draw from the independent normal approximation that stochastic gradients of the ELBO lead to (Kucukelbir et
    al. 2017, Automatic differentiation variational inference, JMLR 18), its standard deviations times `spread`."""
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))

    def start(key: jax.Array, data: Data) -> Position:
        first, climb, draw = jax.random.split(key, 3)
        begin = _doubles(target.initial(first, data))
        step = partial(_variational_step, density=density_of(target, data), optimiser=optimiser)
        # BlackJAX begins at zero, which may lie outside the support.
        state = meanfield_vi.init(begin, optimiser)._replace(mu=begin)
        state, _ = jax.lax.scan(step, state, jax.random.split(climb, STEPS))
        wide = state._replace(rho=jax.tree.map(lambda rho: rho + jnp.log(spread), state.rho))
        return {name: values[0] for name, values in meanfield_vi.sample(draw, wide, 1).items()}

    return start


def _variational_step(
    state: meanfield_vi.MFVIState,
    key: jax.Array,
    *,
    density: Callable[[Position], jax.Array],
    optimiser: optax.GradientTransformation,
) -> tuple[meanfield_vi.MFVIState, None]:
    return meanfield_vi.step(key, state, density, optimiser, SAMPLES)[0], None


def _doubles(position: Position) -> Position:
    return {name: jnp.asarray(values, jnp.float64) for name, values in position.items()}
