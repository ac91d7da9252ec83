"""What a shard says of its ensemble after a round of warm-up: moments of coordinates, and of gradients if followed."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ensemble.protocol.tuning import Controls, LevelControls, is_dense
from kernels.dynamics.forces import log_density_gradient
from kernels.dynamics.metric import Factor, LowRank, multiply_transposed
from kernels.dynamics.splitting import Auxiliary
from kernels.numerics.batching import over_replicas
from kernels.state import LevelView, State
from kernels.structure.discovery import Level
from kernels.transitions.pseudo_marginal.target import AUXILIARY
from kernels.transitions.pseudo_marginal.trajectories import joint_view
from kernels.types import Data

STEEP = 1.2
"""Squared gradient, in units of the median over the replicas of a shard, beyond which a replica counts for less in the
metric: the same for coordinates and gradients, so that what is linear between them stays so."""


def shard_moments(
    views: tuple[LevelView, ...], rungs: tuple[State, ...], controls: Controls, data: Data
) -> dict[str, Any]:
    """For each level and rung, under `level/rung`: sum [p, B] and outer products [p, p, B] (or squares) of x - the
    controls' mean. Where the level follows the gradient of its tempered density g, also

    gradient/...: the same of g; both are then weighted, with the sum of the weights;
    steepness/...: the usual squared norm of g in units of the metric, with the force on u where it moves along;
    virial/...: mean of -x.g / p, which is 1 in equilibrium;
    sketch/...: where the metric is of low rank, the covariances of x and g along the controls' sketch.
    """
    found: dict[str, Any] = {}
    for view in views:
        level = view.level
        for rung, states in enumerate(rungs[: len(controls.levels[level.name])]):
            name, known = f"{level.name}/{rung}", controls.levels[level.name][rung]
            x = jax.vmap(level.gather)(states.position) - known.mean
            if not level.move.gradients:
                found[name] = _sums(x, level)
                continue
            slopes, beside = _slopes(view, states, data, controls.betas[rung])
            found |= _followed(level, name, known, x, slopes, beside)
            if level.metric == "low_rank":
                directions = jnp.asarray(controls.sketch[level.name])[rung]
                found[f"sketch/{name}"] = _sketched(x, slopes, known, directions)
    return found


def _slopes(view: LevelView, states: State, data: Data, beta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Gradients [R, p, B] of the level's tempered density, and squared norms [R, 1] of the force on auxiliary variables
    that move along: 0, or without that of their normal law, under which they move exactly."""
    moving = joint_view(view.target, view.structure, view.tempered) if view.level.move.joint else view
    slope = partial(log_density_gradient, moving, data=data, beta=beta)
    slopes = over_replicas(slope, view.target.dimension)(states.position)
    if not view.level.move.joint:
        return slopes, jnp.zeros((len(slopes), 1))
    auxiliary = Auxiliary(moving, AUXILIARY)
    u = jax.vmap(moving.blocks)(states.position)[:, auxiliary.first :]
    force = slopes[:, auxiliary.first :] + auxiliary.weight(beta) * u
    return slopes[:, : auxiliary.first], jnp.sum(force**2, axis=1)


def _followed(
    level: Level, name: str, known: LevelControls, x: jax.Array, slopes: jax.Array, beside: jax.Array
) -> dict[str, Any]:
    """Coordinates and gradients [R, p, B] of a level that follows them; beside: squared norms [R, 1] to add."""
    weights, steepness = _weights(slopes, known.factor)
    return {
        name: _sums(x, level, weights),
        f"gradient/{name}": _sums(slopes, level, weights),
        f"steepness/{name}": jnp.max(jnp.median(steepness + beside, axis=0)),
        f"virial/{name}": -jnp.sum(x * slopes) / (len(x) * np.sum(level.sizes)),
    }


def _sums(x: jax.Array, level: Level, weights: jax.Array | None = None) -> dict[str, jax.Array]:
    """Sums over replicas of x [R, p, B] and of its products, with the sum of the weights [R, B] where there are any."""
    weighted = x if weights is None else weights[:, None] * x
    outer = jnp.einsum("rib,rjb->ijb", weighted, x) if is_dense(level) else jnp.sum(weighted * x, axis=0)
    sums = {"sum": jnp.sum(weighted, axis=0), "outer": outer}
    return sums if weights is None else {**sums, "weight": jnp.sum(weights, axis=0)}


def _weights(slopes: jax.Array, factor: Factor) -> tuple[jax.Array, jax.Array]:
    """Weights [R, B] by the squared norms of the gradients in units of the metric, and these norms [R, B]."""
    steepness = jnp.sum(jax.vmap(partial(multiply_transposed, factor))(slopes) ** 2, axis=1)
    usual = jnp.median(steepness, axis=0)
    return jnp.where(steepness > STEEP * usual, STEEP * usual / steepness, 1.0), steepness


def _sketched(
    x: jax.Array, slopes: jax.Array, known: LevelControls, directions: jax.Array
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
