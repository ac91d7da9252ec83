"""What a shard says of its ensemble after a round of warm-up: moments of coordinates, and of gradients if followed."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.statistics import GradientSums, LevelSums, MomentSums, Sketch, SketchSums
from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.shard.level_kernels.base import LevelKernel
from ensemble.shard.level_kernels.trajectories import TrajectoryKernel
from kernels.dynamics.forces import log_density_gradients
from kernels.dynamics.metric import Factor, LowRank, multiply_transposed
from kernels.state import LevelView, State
from kernels.transitions.common_law import quantiles
from kernels.types import Data, Position

STEEP = 1.2
"""Squared gradient, in units of the median over the replicas of a shard, beyond which a replica counts for less in the
metric: the same for coordinates and gradients, so that what is linear between them stays so."""


def shard_moments(
    levels: tuple[tuple[LevelKernel, LevelView], ...], rungs: tuple[State, ...], tuning: TuningState, data: Data
) -> dict[str, tuple[LevelSums, ...]]:
    """For each level and rung the moments of x - the tuning's mean and, where the level follows the gradient of its
    tempered density, those of the gradient; both are then weighted."""
    return {
        kernel.level.name: tuple(
            _level_sums(kernel, view, rung, states, tuning, data)
            for rung, states in enumerate(rungs[: len(tuning.levels[kernel.level.name])])
        )
        for kernel, view in levels
    }


def log_volume(position: Position) -> jax.Array:
    """Sum over coordinates of the log standard deviation over replicas [R], of sites [R, *shape]; -inf where all are in
    one place, NaN of one replica."""
    return sum((0.5 * jnp.sum(jnp.log(jnp.var(values, axis=0, ddof=1))) for values in position.values()), jnp.zeros(()))


def _level_sums(
    kernel: LevelKernel, view: LevelView, rung: int, states: State, tuning: TuningState, data: Data
) -> LevelSums:
    level = kernel.level
    known = tuning.levels[level.name][rung]
    x = jax.vmap(level.gather)(states.position) - known.mean
    if not isinstance(kernel, TrajectoryKernel):
        seen = None if known.common is None else quantiles(x + known.mean)
        asked = known.given is not None and view.target.has_gradient
        information = _information(view, states, known, jnp.asarray(tuning.betas)[rung], data) if asked else None
        return LevelSums(_sums(x, kernel), quantiles=seen, information=information)
    slopes, beside = kernel.slopes(view, states, data, tuning.betas[rung])
    weights, steepness = _weights(slopes, known.factor)
    sketched = kernel.told.metric == "low_rank"
    gradients = GradientSums(
        moments=_sums(slopes, kernel, weights),
        steepness=jnp.max(jnp.median(steepness + beside, axis=0)),
        virial=-jnp.sum(x * slopes) / (len(x) * np.sum(level.sizes)),
        sketch=_sketched(x, slopes, known, jnp.asarray(tuning.sketch[level.name])[rung]) if sketched else None,
    )
    return LevelSums(_sums(x, kernel, weights), gradients)


def _information(view: LevelView, states: State, known: LevelTuning, beta: jax.Array, data: Data) -> jax.Array:
    """Mean over replicas of g g' [p, p, B], those far out counting for less."""
    slopes = log_density_gradients(view, states.position, data, beta)
    weights = _weights(slopes, known.factor)[0]
    return jnp.einsum("rib,rjb->ijb", weights[:, None] * slopes, slopes) / len(slopes)


def _sums(x: jax.Array, kernel: LevelKernel, weights: jax.Array | None = None) -> MomentSums:
    """Sums over replicas of x [R, p, B] and of its products, with the sum of the weights [R, B] where there are any."""
    weighted = x if weights is None else weights[:, None] * x
    outer = jnp.einsum("rib,rjb->ijb", weighted, x) if kernel.told.metric == "dense" else jnp.sum(weighted * x, axis=0)
    return MomentSums(jnp.sum(weighted, axis=0), outer, None if weights is None else jnp.sum(weights, axis=0))


def _weights(slopes: jax.Array, factor: Factor) -> tuple[jax.Array, jax.Array]:
    """Weights [R, B] by the squared norms of the gradients in units of the metric, and these norms [R, B]."""
    steepness = jnp.sum(jax.vmap(partial(multiply_transposed, factor))(slopes) ** 2, axis=1)
    usual = jnp.median(steepness, axis=0)
    return jnp.where(steepness > STEEP * usual, STEEP * usual / steepness, 1.0), steepness


def _sketched(x: jax.Array, slopes: jax.Array, known: LevelTuning, directions: jax.Array) -> Sketch:
    """Of coordinates and gradients [R, p, 1], weighted and in units of the diagonal metric, with a = x U along the
    sketch U [p, k]: a' a [k, k] and x' a [p, k]."""
    assert isinstance(known.factor, LowRank)
    scales, found = known.factor.scale[:, 0], []
    roots = jnp.sqrt(_weights(slopes, known.factor)[0])
    for values in (x[..., 0] / scales, slopes[..., 0] * scales):
        weighted = roots * values
        along = weighted @ directions
        found.append(SketchSums(along.T @ along, weighted.T @ along))
    return Sketch(*found)
