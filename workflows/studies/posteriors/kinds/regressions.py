"""Regressions in the units that the data came in."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

from workflows.studies.posteriors.posterior import Built


def earnings() -> Built:
    """Earnings on height in inches, flat priors: intercept -61,000, slope 1,260, sigma 19,000."""

    def model(height: jax.Array, earnings: jax.Array) -> None:
        a = numpyro.sample("a", dist.ImproperUniform(constraints.real, (), ()))
        b = numpyro.sample("b", dist.ImproperUniform(constraints.real, (), ()))
        sigma = numpyro.sample("sigma", dist.ImproperUniform(constraints.positive, (), ()))
        with numpyro.plate("person", height.shape[0]):
            numpyro.sample("earnings", dist.Normal(a + b * height, sigma), obs=earnings)

    rng = np.random.default_rng(101)
    height = rng.normal(66.6, 3.8, 1000).round(1)
    return model, {"height": height, "earnings": -61_000 + 1_260 * height + rng.normal(0, 19_000, 1000)}


def dates() -> Built:
    """A trend over Julian days, uncentred: intercept and slope correlate to 1 - 1e-9."""

    def model(day: jax.Array, y: jax.Array) -> None:
        a = numpyro.sample("a", dist.Normal(0, 1e5))
        b = numpyro.sample("b", dist.Normal(0, 10))
        sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).mask(False))
        with numpyro.plate("measurement", day.shape[0]):
            numpyro.sample("y", dist.Normal(a + b * day, sigma), obs=y)

    rng = np.random.default_rng(102)
    day = np.sort(2_457_000 + rng.uniform(0, 365, 20))
    return model, {"day": day, "y": 3.0 + 0.02 * (day - 2_457_000) + rng.normal(0, 0.5, 20)}


def avoidance() -> Built:
    """Avoidance learning of 30 dogs in 25 trials: a logistic regression on counters of what happened before."""

    def model(n_avoid: jax.Array, n_shock: jax.Array, shocked: jax.Array) -> None:
        b0 = numpyro.sample("b0", dist.Normal(0, 100))
        b1 = numpyro.sample("b1", dist.Normal(0, 100))
        b2 = numpyro.sample("b2", dist.Normal(0, 100))
        numpyro.sample("shocked", dist.Bernoulli(logits=b0 + b1 * n_avoid + b2 * n_shock), obs=shocked)

    rng = np.random.default_rng(103)
    dogs, trials = 30, 25
    avoid, shock, shocked = (np.zeros((dogs, trials)) for _ in range(3))
    for t in range(trials):
        avoid[:, t], shock[:, t] = t - shocked[:, :t].sum(axis=1), shocked[:, :t].sum(axis=1)
        logit = 1.8 - 0.35 * avoid[:, t] - 0.2 * shock[:, t]
        shocked[:, t] = rng.random(dogs) < 1 / (1 + np.exp(-logit))
    return model, {"n_avoid": avoid, "n_shock": shock, "shocked": shocked.astype(int)}


def poisson_vague() -> Built:
    """Counts with coefficients of prior sd 1,000: the rate overflows at almost every prior draw."""

    def model(x: jax.Array, y: jax.Array) -> None:
        intercept = numpyro.sample("intercept", dist.Normal(0, 1000))
        beta = numpyro.sample("beta", dist.Normal(0, 1000).expand([x.shape[1]]).to_event(1))
        with numpyro.plate("row", x.shape[0]):
            numpyro.sample("y", dist.Poisson(jnp.exp(intercept + x @ beta)), obs=y)

    rng = np.random.default_rng(104)
    x = rng.normal(size=(200, 3))
    return model, {"x": x, "y": rng.poisson(np.exp(1.0 + x @ np.array([0.5, -0.3, 0.2])))}


def robust() -> Built:
    """A line through points of which one in ten is far off, with Student's t of unknown degrees of freedom."""

    def model(x: jax.Array, y: jax.Array) -> None:
        a = numpyro.sample("a", dist.Normal(0, 10))
        b = numpyro.sample("b", dist.Normal(0, 10))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(5))
        nu = numpyro.sample("nu", dist.Gamma(2, 0.1))
        with numpyro.plate("point", x.shape[0]):
            numpyro.sample("y", dist.StudentT(nu, a + b * x, sigma), obs=y)

    rng = np.random.default_rng(105)
    x = rng.uniform(-3, 3, 200)
    noise = rng.normal(0, 0.7, 200) * np.where(rng.random(200) < 0.1, 10.0, 1.0)
    return model, {"x": x, "y": 1.0 + 2.0 * x + noise}


def measurement_error() -> Built:
    """A regression on a covariate that was measured with an error: 100 latent values."""

    def model(x_seen: jax.Array, y: jax.Array) -> None:
        mu_x = numpyro.sample("mu_x", dist.Normal(0, 10))
        sd_x = numpyro.sample("sd_x", dist.HalfNormal(5))
        a = numpyro.sample("a", dist.Normal(0, 10))
        b = numpyro.sample("b", dist.Normal(0, 5))
        sigma = numpyro.sample("sigma", dist.HalfNormal(2))
        with numpyro.plate("item", x_seen.shape[0]):
            x = numpyro.sample("x", dist.Normal(mu_x, sd_x))
            numpyro.sample("x_seen", dist.Normal(x, 0.8), obs=x_seen)
            numpyro.sample("y", dist.Normal(a + b * x, sigma), obs=y)

    rng = np.random.default_rng(106)
    x = rng.normal(10, 2, 100)
    return model, {"x_seen": x + rng.normal(0, 0.8, 100), "y": -2 + 0.8 * x + rng.normal(0, 0.5, 100)}
