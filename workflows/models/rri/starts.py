"""Starts for many subjects: each subject's is the best of random choices, its linear parameters fitted.

Far from the data a curve has local optima, thousands of nats below the posterior and with nothing between: a second
step after the end of the recording, say, of which no likelihood ever speaks again. Of one draw for each subject some
begin there. Given lambda, phi, tau and delta, the curve is linear in alpha, beta and gamma = -c beta, so that those
three follow from the data, and the best of many choices of the other four is near the best there is. Starts of
different keys stay dispersed, wider than the posterior.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.model import Model
from workflows.models.rri.curve import Curve, steps
from workflows.models.rri.published import MEANS, PARAMETERS, SDS

DRAWS = 400
"""Choices of which each subject takes the best: half from the prior, and half near the best so far."""
NEAR = 0.2
"""Standard deviation of the latter about it, in the logarithms of the parameters."""

CURVED = {"lambda": -1, "phi": -1, "tau": 1, "delta": 1}
"""The parameters in which the curve is not linear, and their signs."""

ALPHA, BETA, C, SIGMA = 0, 1, 2, 7
LINEAR_MEANS = np.array([MEANS[ALPHA], MEANS[BETA], -MEANS[C] * MEANS[BETA]])
LINEAR_SDS = np.array([SDS[ALPHA], SDS[BETA], np.hypot(MEANS[C] * SDS[BETA], SDS[C] * MEANS[BETA])])
"""Of alpha, beta and gamma in the population."""


class Fit(NamedTuple):
    """Linear parameters [3, subjects], the residuals' standard deviation [subjects], and the misfit [subjects], the
    squares of residuals and of distances from the population in their standard deviations; infinite where a sign is
    wrong."""

    linear: jax.Array
    sigma: jax.Array
    misfit: jax.Array


class Known(NamedTuple):
    """The best so far: position, the subjects' sites [subjects], and misfit [subjects]."""

    position: Position
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
    return Fit(linear, jnp.sqrt(jnp.mean(residual**2, axis=0)), jnp.where(right, misfit, jnp.inf))


def with_fitted_starts(model: Model, draws: int = DRAWS) -> Model:
    """The model of many subjects with such starts. Sites that no subject owns are those of one draw.

    data: t [N, 1] and y [N, subjects]. Unconstrained coordinates of signed parameters are log |x|.
    """
    target = model.target

    def initial(key: jax.Array, data: Data) -> Position:
        def body(draw: jax.Array, known: Known) -> Known:
            fresh, noise_key = jax.random.split(jax.random.fold_in(key, draw))
            drawn = target.initial(fresh, data)
            noise = NEAR * jax.random.normal(noise_key, (len(CURVED), data["y"].shape[1]), jnp.float64)
            near = {name: known.position[name] + noise[k] for k, name in enumerate(CURVED)}
            return _better(
                known, {name: jnp.where(draw < draws // 2, drawn[name], near[name]) for name in CURVED}, data
            )

        start = target.initial(key, data)
        subjects = {name: start[name] for name in PARAMETERS}
        nothing = jnp.full(data["y"].shape[1], jnp.inf)
        return {**start, **jax.lax.fori_loop(0, draws, body, Known(subjects, nothing)).position}

    return replace(model, target=replace(target, initial=initial))


def _better(known: Known, curved: Position, data: Data) -> Known:
    """What is known after another choice of the curved parameters, their logarithms."""
    values = (sign * jnp.exp(curved[name]) for name, sign in CURVED.items())
    fit = fitted(*steps(Curve(0.0, 0.0, 0.0, *values), data["t"]), data["y"])
    alpha, beta, gamma = jnp.log(jnp.abs(fit.linear))
    other = {**curved, "alpha": alpha, "beta": beta, "c": gamma - beta, "sigma": jnp.log(fit.sigma)}
    wins = fit.misfit < known.misfit
    position = {name: jnp.where(wins, other[name], x) for name, x in known.position.items()}
    return Known(position, jnp.where(wins, fit.misfit, known.misfit))
