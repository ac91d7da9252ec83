"""Hierarchies of groups, centred as people write them first, and non-centred as they are told to."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built

ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
"""Standard errors of the eight schools."""


def _schools() -> dict[str, Any]:
    rng = np.random.default_rng(501)
    return {"sd": ERRORS, "y": (8 + 6 * rng.normal(size=8) + ERRORS * rng.normal(size=8)).round()}


def schools_centred() -> Built:
    """Eight schools: a funnel whose mouth the data hardly close."""

    def model(sd: jax.Array, y: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 5))
        tau = numpyro.sample("tau", dist.HalfCauchy(5))
        with numpyro.plate("school", y.shape[0]):
            theta = numpyro.sample("theta", dist.Normal(mu, tau))
            numpyro.sample("y", dist.Normal(theta, sd), obs=y)

    return model, _schools()


def schools_noncentred() -> Built:
    """The same posterior in standard normals."""

    def model(sd: jax.Array, y: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 5))
        tau = numpyro.sample("tau", dist.HalfCauchy(5))
        with numpyro.plate("school", y.shape[0]):
            z = numpyro.sample("z", dist.Normal(0, 1))
            theta = numpyro.deterministic("theta", mu + tau * z)
            numpyro.sample("y", dist.Normal(theta, sd), obs=y)

    return model, _schools()


def _radon() -> dict[str, Any]:
    """919 measurements of 85 counties of 1 to about 120 houses; log uranium of the county, floor of the house."""
    rng = np.random.default_rng(502)
    size = np.exp(rng.normal(0, 1.2, 85))
    county = np.sort(np.concatenate([np.arange(85), rng.choice(85, 919 - 85, p=size / size.sum())]))
    uranium = rng.normal(0, 0.4, 85)
    floor = (rng.random(919) < 0.17).astype(float)
    z = rng.normal(size=(2, 85))
    intercept = 1.5 + 0.7 * uranium + 0.2 * z[0]
    slope = -0.7 - 0.4 * uranium + 0.3 * (-0.3 * z[0] + np.sqrt(1 - 0.09) * z[1])
    y = intercept[county] + slope[county] * floor + rng.normal(0, 0.72, 919)
    return {"county": county, "uranium": uranium, "floor": floor, "log_radon": y}


def _radon_shared(uranium: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Means of the counties' coefficients [85, 2], the Cholesky factor of their covariance, and sigma."""
    gamma = numpyro.sample("gamma", dist.Normal(0, 5).expand([2, 2]).to_event(2))
    sd = numpyro.sample("sd", dist.HalfNormal(1).expand([2]).to_event(1))
    root = numpyro.sample("root", dist.LKJCholesky(2, 2.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(2))
    numpyro.deterministic("correlation", root[1, 0])
    return gamma[0] + uranium[:, None] * gamma[1], sd[:, None] * root, sigma


def radon_centred() -> Built:
    """Intercepts and slopes of 85 counties, correlated, centred; the counties' numbers of houses from 1 to over 50."""

    def model(county: jax.Array, uranium: jax.Array, floor: jax.Array, log_radon: jax.Array) -> None:
        mean, root, sigma = _radon_shared(uranium)
        with numpyro.plate("counties", uranium.shape[0]):
            beta = numpyro.sample("beta", dist.MultivariateNormal(mean, scale_tril=root))
        mu = beta[county, 0] + beta[county, 1] * floor
        with numpyro.plate("house", county.shape[0]):
            numpyro.sample("log_radon", dist.Normal(mu, sigma), obs=log_radon)

    return model, _radon()


def radon_noncentred() -> Built:
    """The same posterior in standard normals."""

    def model(county: jax.Array, uranium: jax.Array, floor: jax.Array, log_radon: jax.Array) -> None:
        mean, root, sigma = _radon_shared(uranium)
        with numpyro.plate("counties", uranium.shape[0]):
            z = numpyro.sample("z", dist.Normal(0, 1).expand([2]).to_event(1))
        beta = numpyro.deterministic("beta", mean + z @ root.T)
        mu = beta[county, 0] + beta[county, 1] * floor
        with numpyro.plate("house", county.shape[0]):
            numpyro.sample("log_radon", dist.Normal(mu, sigma), obs=log_radon)

    return model, _radon()


def _groups(groups: int) -> Built:
    """A normal mean of every group, centred."""

    def model(group: jax.Array, groups: int, y: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 10))
        tau = numpyro.sample("tau", dist.HalfNormal(5))
        sigma = numpyro.sample("sigma", dist.HalfNormal(5))
        with numpyro.plate("groups", groups):
            effect = numpyro.sample("effect", dist.Normal(mu, tau))
        with numpyro.plate("row", y.shape[0]):
            numpyro.sample("y", dist.Normal(effect[group], sigma), obs=y)

    rng = np.random.default_rng(503 + groups)
    group = np.repeat(np.arange(groups), rng.integers(1, 10, groups))
    effect = rng.normal(3, 0.8, groups)
    return model, {"group": group, "groups": groups, "y": effect[group] + rng.normal(0, 1.5, group.size)}


groups_5, groups_500, groups_5000 = (partial(_groups, n) for n in (5, 500, 5000))


def tumours() -> Built:
    """Tumours of rats in 71 laboratories: binomials with beta rates, in the rates themselves."""

    def model(n: jax.Array, y: jax.Array) -> None:
        phi = numpyro.sample("phi", dist.Uniform(0, 1))
        kappa = numpyro.sample("kappa", dist.Pareto(1.0, 1.5))
        with numpyro.plate("laboratory", n.shape[0]):
            theta = numpyro.sample("theta", dist.Beta(phi * kappa, (1 - phi) * kappa))
            numpyro.sample("y", dist.Binomial(n, theta), obs=y)

    rng = np.random.default_rng(504)
    n = rng.integers(10, 52, 71)
    return model, {"n": n, "y": rng.binomial(n, rng.beta(2.4, 14.3, 71))}


def pharmacokinetics() -> Built:
    """Concentrations of 12 patients after a dose: one compartment with absorption, three rates a patient.

    The curve is the same with absorption and elimination swapped; the priors of their means give that place e^-9.
    """

    def concentration(t: Any, log_rates: Any, exp: Callable[[Any], Any]) -> Any:
        """dose 320 mg; log absorption, log elimination (1 / h) and log clearance (l / h) on the last axis."""
        ka, ke, cl = (exp(log_rates[..., i])[..., None] for i in range(3))
        return 320 * ke * ka / (cl * (ka - ke)) * (exp(-ke * t) - exp(-ka * t))

    def model(t: jax.Array, y: jax.Array) -> None:
        mean = numpyro.sample("mean", dist.Normal(jnp.array([0.5, -2.5, 1.0]), 1).to_event(1))
        sd = numpyro.sample("sd", dist.HalfNormal(1).expand([3]).to_event(1))
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.5))
        with numpyro.plate("patient", y.shape[0]):
            rates = numpyro.sample("rates", dist.Normal(mean, sd).to_event(1))
        mu = concentration(t, rates, jnp.exp)
        numpyro.sample("y", dist.LogNormal(jnp.log(jnp.maximum(mu, 1e-10)), sigma), obs=y)

    rng = np.random.default_rng(505)
    t = np.array([0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 24.0])
    rates = np.array([0.4, -2.5, 1.0]) + np.array([0.6, 0.15, 0.25]) * rng.normal(size=(12, 3))
    return model, {"t": t, "y": concentration(t, rates, np.exp) * np.exp(rng.normal(0, 0.15, (12, t.size)))}
