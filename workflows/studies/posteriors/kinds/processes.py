"""Gaussian processes of 60 points in one dimension, marginal and latent."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built

POINTS = 60


def _covariance(x: Any, amplitude: Any, length: Any) -> jax.Array:
    return amplitude**2 * jnp.exp(-0.5 * ((x[:, None] - x[None, :]) / length) ** 2)


def marginal() -> Built:
    """Normal observations, the function integrated out."""

    def model(x: jax.Array, y: jax.Array) -> None:
        length = numpyro.sample("length", dist.InverseGamma(5, 5))
        amplitude = numpyro.sample("amplitude", dist.HalfNormal(2))
        sigma = numpyro.sample("sigma", dist.HalfNormal(1))
        covariance = _covariance(x, amplitude, length) + sigma**2 * jnp.eye(x.shape[0])
        numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(x.shape[0]), covariance), obs=y)

    rng = np.random.default_rng(401)
    x = np.linspace(-5, 5, POINTS)
    return model, {"x": x, "y": _function(rng, x) + rng.normal(0, 0.3, POINTS)}


def latent() -> Built:
    """Counts whose log rate is the function, given by 60 standard normals."""

    def model(x: jax.Array, y: jax.Array) -> None:
        length = numpyro.sample("length", dist.InverseGamma(5, 5))
        amplitude = numpyro.sample("amplitude", dist.HalfNormal(2))
        a = numpyro.sample("a", dist.Normal(0, 2))
        z = numpyro.sample("z", dist.Normal(0, 1).expand([x.shape[0]]).to_event(1))
        root = jnp.linalg.cholesky(_covariance(x, amplitude, length) + 1e-8 * jnp.eye(x.shape[0]))
        numpyro.sample("y", dist.Poisson(jnp.exp(a + root @ z)), obs=y)

    rng = np.random.default_rng(402)
    x = np.linspace(-5, 5, POINTS)
    return model, {"x": x, "y": rng.poisson(np.exp(1.0 + 0.7 * _function(rng, x)))}


def _function(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    covariance = np.exp(-0.5 * ((x[:, None] - x[None, :]) / 1.2) ** 2) + 1e-9 * np.eye(x.size)
    return np.asarray(np.linalg.cholesky(covariance) @ rng.normal(size=x.size))
