"""Time series by the recursions of the textbooks: ARMA, GARCH, AR, and a trend that moves."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built


def arma() -> Built:
    """ARMA(1, 1) of 200 values, its errors by a scan."""

    def model(y: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 10))
        phi = numpyro.sample("phi", dist.Normal(0, 2))
        theta = numpyro.sample("theta", dist.Normal(0, 2))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))

        def step(before: Any, now: jax.Array) -> Any:
            value, error = before
            error = now - (mu + phi * value + theta * error)
            return (now, error), error

        first = y[0] - (mu + phi * mu)
        _, errors = jax.lax.scan(step, (y[0], first), y[1:])
        numpyro.factor("y", dist.Normal(0, sigma).log_prob(jnp.append(errors, first)))

    rng = np.random.default_rng(201)
    y, error = np.zeros(300), rng.normal(0, 0.5, 300)
    for t in range(1, 300):
        y[t] = 0.3 + 0.8 * y[t - 1] + 0.4 * error[t - 1] + error[t]
    return model, {"y": y[100:]}


def garch() -> Built:
    """GARCH(1, 1) of 300 returns; the support of beta depends on alpha."""

    def model(y: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Normal(0, 10))
        alpha0 = numpyro.sample("alpha0", dist.HalfNormal(5))
        alpha1 = numpyro.sample("alpha1", dist.Uniform(0, 1))
        beta1 = numpyro.sample("beta1", dist.Uniform(0, 1 - alpha1))

        def step(variance: jax.Array, before: jax.Array) -> Any:
            variance = alpha0 + alpha1 * (before - mu) ** 2 + beta1 * variance
            return variance, variance

        first = jnp.var(y)
        _, later = jax.lax.scan(step, first, y[:-1])
        scale = jnp.sqrt(jnp.concatenate([first[None], later]))
        with numpyro.plate("day", y.shape[0]):
            numpyro.sample("y", dist.Normal(mu, scale), obs=y)

    rng = np.random.default_rng(202)
    y, variance = np.zeros(400), 2.0
    for t in range(1, 400):
        variance = 0.3 + 0.25 * (y[t - 1] - 0.5) ** 2 + 0.6 * variance
        y[t] = 0.5 + np.sqrt(variance) * rng.normal()
    return model, {"y": y[100:]}


def ar2() -> Built:
    """AR(2) of 200 values with a period of about 12."""

    def model(y: jax.Array) -> None:
        a = numpyro.sample("a", dist.Normal(0, 10))
        b1 = numpyro.sample("b1", dist.Normal(0, 10))
        b2 = numpyro.sample("b2", dist.Normal(0, 10))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(2.5))
        numpyro.sample("y", dist.Normal(a + b1 * y[1:-1] + b2 * y[:-2], sigma), obs=y[2:])

    rng = np.random.default_rng(203)
    y = np.zeros(300)
    for t in range(2, 300):
        y[t] = 1.0 + 1.6 * y[t - 1] - 0.85 * y[t - 2] + rng.normal(0, 0.8)
    return model, {"y": y[100:]}


def stochastic_volatility() -> Built:
    """300 returns whose log variance is a stationary AR(1), by innovations."""

    def model(y: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.Cauchy(0, 10))
        phi = numpyro.sample("phi", dist.Uniform(-1, 1))
        sigma = numpyro.sample("sigma", dist.HalfCauchy(5))
        with numpyro.plate("day", y.shape[0]):
            z = numpyro.sample("z", dist.Normal(0, 1))

        def step(h: jax.Array, innovation: jax.Array) -> Any:
            h = phi * h + sigma * innovation
            return h, h

        first = sigma * z[0] / jnp.sqrt(1 - phi**2)
        _, later = jax.lax.scan(step, first, z[1:])
        h = numpyro.deterministic("h", mu + jnp.concatenate([first[None], later]))
        numpyro.sample("y", dist.Normal(0, jnp.exp(h / 2)), obs=y)

    return model, {"y": _returns(204, 300)}


def volatility_walk() -> Built:
    """NumPyro's own example: 300 returns with t noise whose log scale is a random walk, one site of 300."""

    def model(returns: jax.Array) -> None:
        step_size = numpyro.sample("sigma", dist.Exponential(50.0))
        s = numpyro.sample("s", dist.GaussianRandomWalk(scale=step_size, num_steps=returns.shape[0]))
        nu = numpyro.sample("nu", dist.Exponential(0.1))
        numpyro.sample("r", dist.StudentT(df=nu, loc=0.0, scale=jnp.exp(s)), obs=returns)

    return model, {"returns": _returns(205, 300)}


def _returns(seed: int, days: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    h = np.zeros(days)
    h[0] = rng.normal(0, 0.25 / np.sqrt(1 - 0.95**2))
    for t in range(1, days):
        h[t] = 0.95 * h[t - 1] + 0.25 * rng.normal()
    return np.exp((h - 1.0) / 2) * rng.normal(size=days)


def trend() -> Built:
    """A local linear trend of 120 months: level and slope walk, three scales of which two are small."""

    def model(y: jax.Array) -> None:
        sd_level = numpyro.sample("sd_level", dist.HalfNormal(1))
        sd_slope = numpyro.sample("sd_slope", dist.HalfNormal(0.2))
        sd_y = numpyro.sample("sd_y", dist.HalfNormal(2))
        first = numpyro.sample("first", dist.Normal(0, 100))
        slope0 = numpyro.sample("slope0", dist.Normal(0, 1))
        with numpyro.plate("month", y.shape[0] - 1):
            z_level = numpyro.sample("z_level", dist.Normal(0, 1))
            z_slope = numpyro.sample("z_slope", dist.Normal(0, 1))
        slope = slope0 + jnp.cumsum(sd_slope * z_slope)
        level = jnp.concatenate([first[None], first + jnp.cumsum(slope + sd_level * z_level)])
        numpyro.deterministic("last", level[-1])
        numpyro.sample("y", dist.Normal(level, sd_y), obs=y)

    rng = np.random.default_rng(206)
    slope = 0.2 + np.cumsum(rng.normal(0, 0.05, 120))
    level = 20 + np.cumsum(slope + rng.normal(0, 0.5, 120))
    return model, {"y": level + rng.normal(0, 1.0, 120)}
