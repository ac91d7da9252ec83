"""Starts for many subjects: each subject's is near the best of random choices, its linear parameters fitted.

Far from the data a curve has local optima, thousands of nats below the posterior and with nothing between: a second
step after the end of the recording, say, of which no likelihood ever speaks again. Of one draw for each subject some
begin there. Given lambda, phi, tau and delta, the curve is linear in alpha, beta and gamma = -c beta, so that those
three follow from the data, and the best of many choices of the other four is near the best there is. From there
`polish` leads to the optimum, for where there is little noise, what is a tenth off is hundreds of nats below, on the
slopes of others; and starts are drawn WIDE standard deviations about it.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.model import Model
from workflows.models.rri.curve import Curve, mean, steps
from workflows.models.rri.heights import NAMES, heights_of, linear
from workflows.models.rri.polish import Prior, polish
from workflows.models.rri.published import MEANS, PARAMETERS, SDS

DRAWS = 400
"""Choices of which each subject takes the best: half from the prior, and half near the best so far."""
NEAR = 0.2
"""Standard deviation of the latter about it, in the logarithms of the parameters."""

VAGUE = 0.5
"""Standard deviation, in the logarithms, of what the recording does not tell."""
WIDE = 2.0
"""Standard deviations of starts about the optimum, in those of the posterior."""

CURVED = {"lambda": -1, "phi": -1, "tau": 1, "delta": 1}
"""The parameters in which the curve is not linear, and their signs."""

HEIGHTS = len(NAMES)
ALPHA, BETA, C, SIGMA = 0, 1, 2, 7
PRIOR = Prior(
    jnp.asarray([0.0, 0.0, *np.log(np.abs([MEANS[C] * MEANS[BETA], *MEANS[[PARAMETERS.index(n) for n in CURVED]]]))]),
    jnp.asarray([0.0, 0.0, 1.0, *np.full(len(CURVED), VAGUE**-2)]),
)
"""Of the coordinates: nothing is assumed of start and fall; recovery may lie beyond the end of a recording."""
LINEAR_MEANS = np.array([MEANS[ALPHA], MEANS[BETA], -MEANS[C] * MEANS[BETA]])
LINEAR_SDS = np.array([SDS[ALPHA], SDS[BETA], np.hypot(MEANS[C] * SDS[BETA], SDS[C] * MEANS[BETA])])
"""Of alpha, beta and gamma in the population."""


class Fit(NamedTuple):
    """Linear parameters [3, subjects], and the misfit [subjects], the squares of residuals and of distances from the
    population in their standard deviations; infinite where a sign is wrong."""

    linear: jax.Array
    misfit: jax.Array


class Known(NamedTuple):
    """The best so far: coordinates x [subjects, 7], heights and then those of CURVED, and misfit [subjects]."""

    x: jax.Array
    misfit: jax.Array


def fitted(first: jax.Array, second: jax.Array, y: jax.Array) -> Fit:
    """The linear parameters that fit best, of all subjects at once, given the two steps and y, all [N, subjects].

    Least squares with the population as a weak prior, for steps outside of the recording say nothing of their height.
    """
    columns = jnp.stack([jnp.ones_like(first), first, second])
    weight = (MEANS[SIGMA] / LINEAR_SDS) ** 2
    normal = jnp.einsum("ins,jns->sij", columns, columns) + jnp.diag(weight)
    linear = jnp.linalg.solve(normal, (jnp.einsum("ins,ns->si", columns, y) + weight * LINEAR_MEANS)[..., None])[
        ..., 0
    ].T
    residual = y - jnp.sum(columns * linear[:, None], axis=0)
    distance = jnp.sum(weight[:, None] * (linear - LINEAR_MEANS[:, None]) ** 2, axis=0)
    misfit = (jnp.sum(residual**2, axis=0) + distance) / MEANS[SIGMA] ** 2
    right = (linear[0] > 0) & (linear[1] < 0) & (linear[2] > 0)
    return Fit(linear, jnp.where(right, misfit, jnp.inf))


def with_fitted_starts(model: Model, draws: int = DRAWS) -> Model:
    """The model of many subjects with such starts. Sites that no subject owns are those of one draw.

    data: t [N, 1] and y [N, subjects]. Unconstrained coordinates of signed parameters are log |x|.
    """
    target = model.target

    def initial(key: jax.Array, data: Data) -> Position:
        def body(draw: jax.Array, known: Known) -> Known:
            fresh, noise_key = jax.random.split(jax.random.fold_in(key, draw))
            drawn, near = _curved(target.initial(fresh, data)), known.x[:, HEIGHTS:]
            near = near + NEAR * jax.random.normal(noise_key, near.shape, jnp.float64)
            return _better(known, jnp.where(draw < draws // 2, drawn, near), data)

        start = target.initial(key, data)
        first = jnp.concatenate([start["heights"], _curved(start)], axis=1)
        best = jax.lax.fori_loop(0, draws, body, Known(first, jnp.full(len(first), jnp.inf))).x
        return {**start, **_about(jax.random.fold_in(key, draws), best, data)}

    return replace(model, target=replace(target, initial=initial))


def _curved(position: Position) -> jax.Array:
    """The coordinates of CURVED, [subjects, 4]."""
    return jnp.stack([position[name] for name in CURVED], axis=1)


def _better(known: Known, curved: jax.Array, data: Data) -> Known:
    """What is known after another choice of the coordinates of CURVED, [subjects, 4]."""
    shape = _shape(*curved.T)
    fit = fitted(*steps(shape, data["t"]), data["y"])
    alpha, beta, gamma = fit.linear
    x = jnp.concatenate([heights_of(alpha, beta, -gamma / beta, shape), curved], axis=1)
    wins = fit.misfit < known.misfit
    return Known(jnp.where(wins[:, None], x, known.x), jnp.where(wins, fit.misfit, known.misfit))


def _shape(*logs: jax.Array) -> Curve:
    """The curve's four parameters of these logarithms, in the order of CURVED; the others are 0."""
    return Curve(0.0, 0.0, 0.0, *(sign * jnp.exp(x) for sign, x in zip(CURVED.values(), logs, strict=True)))


def _about(key: jax.Array, best: jax.Array, data: Data) -> Position:
    """Starts about the optima next to the coordinates `best`, [subjects, 7]."""

    def model(x: jax.Array) -> jax.Array:
        shape = _shape(*x[HEIGHTS:])
        alpha, beta, c = linear(x[:HEIGHTS], shape)
        return mean(shape._replace(alpha=alpha, beta=beta, c=c), data["t"][:, 0])

    def allowed(x: jax.Array) -> jax.Array:
        alpha, beta, _ = linear(x[:HEIGHTS], _shape(*x[HEIGHTS:]))
        return jnp.all(jnp.isfinite(x)) & (alpha > 0) & (beta < 0)

    def one(key: jax.Array, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = polish(model, x, y, PRIOR)
        # Signs may be wrong at the optimum and about it: the choice that it came from has the right ones.
        near = jnp.where(allowed(found.x), found.x, x)
        drawn = near + WIDE * found.factor @ jax.random.normal(key, x.shape, jnp.float64)
        start = jnp.where(allowed(drawn), drawn, near)
        return start, 0.5 * jnp.log(jnp.mean((y - model(start)) ** 2))

    x, sigma = jax.vmap(one)(jax.random.split(key, len(best)), best, data["y"].T)
    return {"heights": x[:, :HEIGHTS], "sigma": sigma} | {name: x[:, HEIGHTS + k] for k, name in enumerate(CURVED)}
