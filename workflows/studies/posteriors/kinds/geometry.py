"""Densities of known moments that bend, narrow or stretch."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built


def funnel() -> Built:
    """Neal's funnel of 10 dimensions, its nine x one site."""

    def model() -> None:
        y = numpyro.sample("y", dist.Normal(0, 3))
        numpyro.sample("x", dist.Normal(0, jnp.exp(y / 2)).expand([9]).to_event(1))

    return model, {}


def ill_conditioned() -> Built:
    """A normal of 50 dimensions, rotated, with sds from .01 to 10."""

    def model(mean: jax.Array, covariance: jax.Array) -> None:
        numpyro.sample("x", dist.MultivariateNormal(mean, covariance))

    rng = np.random.default_rng(1101)
    rotation = np.linalg.qr(rng.normal(size=(50, 50)))[0]
    root = rotation * np.geomspace(0.01, 10, 50)
    return model, {"mean": rng.normal(0, 3, 50), "covariance": root @ root.T}


def banana() -> Built:
    """Rosenbrock's valley as a density: x of sd 3.2, y within .3 of its square."""

    def model() -> None:
        x = numpyro.sample("x", dist.Normal(1, np.sqrt(10)))
        numpyro.sample("y", dist.Normal(x**2, np.sqrt(0.1)))

    return model, {}
