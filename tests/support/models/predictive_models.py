"""Models whose predictions, pointwise likelihoods and integrals are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from maxwell import numpyro_model
from workflows.modelling.model import Model

PEOPLE = 40
Y = np.random.default_rng(3).normal(1.0, 1.5, PEOPLE)
KNOWN = np.arange(PEOPLE) % 4 != 0
SPREAD = 0.7


def _people(y, known):
    """y_i ~ N(x_i, .7) where known, x_i ~ N(mu, s): p(y_i | mu, s) = N(mu, s^2 + .49)."""
    mu = numpyro.sample("mu", dist.Normal(0.0, 2.0))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    with numpyro.plate("person", len(y)):
        x = numpyro.sample("x", dist.Normal(mu, s))
        numpyro.deterministic("twice", 2.0 * x)
        with numpyro.handlers.mask(mask=known):
            numpyro.sample("y", dist.Normal(x, SPREAD), obs=y)


def _next_year(key, values, data):
    """A second observation of the people who were not observed, three times as far from x."""
    x = values["x"][~KNOWN]
    return x + 3 * SPREAD * jax.random.normal(key, x.shape)


def people() -> Model:
    """One latent and one observation a person; one person in four is not observed."""
    names = np.array([f"p{i}" for i in range(PEOPLE)])
    return numpyro_model(
        _people,
        {"y": Y, "known": KNOWN},
        name="people",
        coords={"person": names, "missing": names[~KNOWN]},
        dims={"next": ("missing",)},
        impute={"next": _next_year},
    )


ROWS = np.array([0, 0, 1, 2, 2, 2])
COUNTS = np.array([3.0, 5.0, 0.0, 2.0, 1.0, 4.0])


def _areas(counts, rows):
    """Several observations an area, and an observation of two axes."""
    with numpyro.plate("area", 3):
        rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
    with numpyro.plate("worker", len(rows)):
        numpyro.sample("count", dist.Poisson(rate[rows]), obs=counts)
        numpyro.sample("pair", dist.Normal(jnp.zeros((len(rows), 2)), 1.0).to_event(1), obs=jnp.zeros((len(rows), 2)))


def areas() -> Model:
    """Blocks that meet several observations: nothing to integrate."""
    return numpyro_model(_areas, {"counts": COUNTS, "rows": ROWS}, name="areas")
