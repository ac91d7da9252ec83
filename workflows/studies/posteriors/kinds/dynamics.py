"""Differential equations, solved inside the model by a Runge-Kutta scheme of fixed steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built

STEPS = 10
"""A year, which is enough."""


def _solve(start: jax.Array, theta: jax.Array, years: int, steps: int) -> jax.Array:
    """Hares and lynxes at years 0, ..., years: [years + 1, 2]. steps: a year."""

    def slope(z: jax.Array) -> jax.Array:
        return z * jnp.stack([theta[0] - theta[1] * z[1], -theta[2] + theta[3] * z[0]])

    def step(z: jax.Array, _: None) -> Any:
        h = 1.0 / steps
        k1 = slope(z)
        k2 = slope(z + h / 2 * k1)
        k3 = slope(z + h / 2 * k2)
        k4 = slope(z + h * k3)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return z, z

    _, path = jax.lax.scan(step, start, None, length=years * steps)
    return jnp.concatenate([start[None], path[steps - 1 :: steps]])


def lotka_volterra(steps: int = STEPS) -> Built:
    """Hares and lynxes over 20 years, 8 parameters; from far starts the path blows up or has another period. steps: of
    the solver, a year."""

    def model(y: jax.Array) -> None:
        start = numpyro.sample("start", dist.LogNormal(jnp.log(10.0), 1).expand([2]).to_event(1))
        low = jnp.array([1.0, 0.05, 1.0, 0.05])
        theta = numpyro.sample(
            "theta", dist.TruncatedNormal(low, jnp.array([0.5, 0.05, 0.5, 0.05]), low=0.0).to_event(1)
        )
        sigma = numpyro.sample("sigma", dist.LogNormal(-1, 1).expand([2]).to_event(1))
        path = _solve(start, theta, y.shape[0] - 1, steps)
        numpyro.sample("y", dist.LogNormal(jnp.log(path), sigma), obs=y)

    rng = np.random.default_rng(1001)
    path = np.asarray(_solve(jnp.array([34.0, 5.9]), jnp.array([0.55, 0.028, 0.8, 0.024]), 20, STEPS))
    return model, {"y": path * np.exp(rng.normal(0, 0.25, (21, 2)))}
