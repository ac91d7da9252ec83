"""What a shard says of its ensemble after a round of warm-up: moments of coordinates, and of gradients if followed."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.tuning import LevelTuning, TuningState
from ensemble.shard.level_kernels.base import LevelKernel
from ensemble.shard.level_kernels.trajectories import TrajectoryKernel
from kernels.dynamics.metric import Factor, LowRank, multiply_transposed
from kernels.state import LevelView, State
from kernels.types import Data

STEEP = 1.2
"""Squared gradient, in units of the median over the replicas of a shard, beyond which a replica counts for less in the
metric: the same for coordinates and gradients, so that what is linear between them stays so."""


def shard_moments(
    levels: tuple[tuple[LevelKernel, LevelView], ...], rungs: tuple[State, ...], tuning: TuningState, data: Data
) -> dict[str, Any]:
    """For each level and rung, under `level/rung`: sum [p, B] and outer products [p, p, B] (or squares) of x - the
    tuning's mean. Where the level follows the gradient of its tempered density g, also

    gradient/...: the same of g; both are then weighted, with the sum of the weights;
    steepness/...: the usual squared norm of g in units of the metric, with the force on u where it moves along;
    virial/...: mean of -x.g / p, which is 1 in equilibrium;
    sketch/...: where the metric is of low rank, the covariances of x and g along the tuning's sketch.
    """
    found: dict[str, Any] = {}
    for kernel, view in levels:
        level = view.level
        for rung, states in enumerate(rungs[: len(tuning.levels[level.name])]):
            name, known = f"{level.name}/{rung}", tuning.levels[level.name][rung]
            x = jax.vmap(level.gather)(states.position) - known.mean
            if not isinstance(kernel, TrajectoryKernel):
                found[name] = _sums(x, kernel)
                continue
            slopes, beside = kernel.slopes(view, states, data, tuning.betas[rung])
            found |= _followed(kernel, name, known, x, slopes, beside)
            if kernel.told.metric == "low_rank":
                directions = jnp.asarray(tuning.sketch[level.name])[rung]
                found[f"sketch/{name}"] = _sketched(x, slopes, known, directions)
    return found


def _followed(
    kernel: LevelKernel, name: str, known: LevelTuning, x: jax.Array, slopes: jax.Array, beside: jax.Array
) -> dict[str, Any]:
    """Coordinates and gradients [R, p, B] of a level that follows them; beside: squared norms [R, 1] to add."""
    weights, steepness = _weights(slopes, known.factor)
    return {
        name: _sums(x, kernel, weights),
        f"gradient/{name}": _sums(slopes, kernel, weights),
        f"steepness/{name}": jnp.max(jnp.median(steepness + beside, axis=0)),
        f"virial/{name}": -jnp.sum(x * slopes) / (len(x) * np.sum(kernel.level.sizes)),
    }


def _sums(x: jax.Array, kernel: LevelKernel, weights: jax.Array | None = None) -> dict[str, jax.Array]:
    """Sums over replicas of x [R, p, B] and of its products, with the sum of the weights [R, B] where there are any."""
    weighted = x if weights is None else weights[:, None] * x
    outer = jnp.einsum("rib,rjb->ijb", weighted, x) if kernel.told.metric == "dense" else jnp.sum(weighted * x, axis=0)
    sums = {"sum": jnp.sum(weighted, axis=0), "outer": outer}
    return sums if weights is None else {**sums, "weight": jnp.sum(weights, axis=0)}


def _weights(slopes: jax.Array, factor: Factor) -> tuple[jax.Array, jax.Array]:
    """Weights [R, B] by the squared norms of the gradients in units of the metric, and these norms [R, B]."""
    steepness = jnp.sum(jax.vmap(partial(multiply_transposed, factor))(slopes) ** 2, axis=1)
    usual = jnp.median(steepness, axis=0)
    return jnp.where(steepness > STEEP * usual, STEEP * usual / steepness, 1.0), steepness


def _sketched(
    x: jax.Array, slopes: jax.Array, known: LevelTuning, directions: jax.Array
) -> dict[str, dict[str, jax.Array]]:
    """Of coordinates and gradients [R, p, 1], weighted and in units of the diagonal metric, with a = x U along the
    sketch U [p, k]: a' a [k, k] and x' a [p, k]."""
    assert isinstance(known.factor, LowRank)
    scales, found = known.factor.scale[:, 0], {}
    roots = jnp.sqrt(_weights(slopes, known.factor)[0])
    for kind, values in (("states", x[..., 0] / scales), ("gradients", slopes[..., 0] * scales)):
        weighted = roots * values
        along = weighted @ directions
        found[kind] = {"along": along.T @ along, "power": weighted.T @ along}
    return found
