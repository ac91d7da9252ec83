"""A user's own model, as a run's settings name it: tests.support.models.user_model:groups."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from maxwell import function_model, numpyro_model

GROUPS = 6


def normal_groups(y=None):
    """Groups with means around a common one, four observations each."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
    sd = numpyro.sample("sd", dist.HalfNormal(2.0))
    with numpyro.plate("group", GROUPS):
        x = numpyro.sample("x", dist.Normal(mu, sd))
        with numpyro.plate("time", 4):
            numpyro.sample("y", dist.Normal(x, 0.7), obs=y)


def groups():
    """The model on simulated data."""
    rng = np.random.default_rng(0)
    return numpyro_model(normal_groups, {"y": 1 + rng.normal(size=GROUPS) + 0.7 * rng.normal(size=(4, GROUPS))})


def many_groups():
    """The same of 20 groups: too many parameters for trajectories alone."""

    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
        sd = numpyro.sample("sd", dist.HalfNormal(2.0))
        with numpyro.plate("group", 20):
            x = numpyro.sample("x", dist.Normal(mu, sd))
            with numpyro.plate("time", 4):
                numpyro.sample("y", dist.Normal(x, 0.7), obs=y)

    rng = np.random.default_rng(0)
    return numpyro_model(model, {"y": 1 + rng.normal(size=20) + 0.7 * rng.normal(size=(4, 20))})


def never_finite():
    """A density that is NaN wherever one looks."""

    def model(y):
        x = numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.factor("broken", jnp.log(-1.0 - x**2) + y)

    return numpyro_model(model, {"y": np.ones(())})


def without_elements():
    """A site of zero size."""

    def model(y):
        with numpyro.plate("nobody", 0):
            numpyro.sample("x", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(0.0, 1.0), obs=y)

    return numpyro_model(model, {"y": np.ones(())})


def coupled():
    """Items on a plate, two neighbours of which share a term."""

    def log_terms(position, data):
        x = position["x"]
        return {"x": -0.5 * x**2, "pair": -0.5 * (x[1:2] - x[:1]) ** 2}

    return function_model(log_terms, {"x": ((GROUPS,), ("item",))})
