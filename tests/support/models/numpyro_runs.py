"""NumPyro models that once could not be run and exported: small ones, by name for the command line."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd

from maxwell import numpyro_model
from tests.support.models import numpyro_zoo as zoo
from workflows.modelling.model import Model


def factor_alone() -> Model:
    return numpyro_model(zoo.optional_data, {"y": zoo.Y})


def scoped() -> Model:
    return numpyro_model(zoo.scoped, {"y": zoo.Y}, coords={"a/n": pd.date_range("2024-05-01", periods=3)})


def odd_plate_names() -> Model:
    return numpyro_model(zoo.odd_plate_names, {"y": zoo.Y}, coords={"a*b": pd.Categorical(["u", "v"])})


def time_series() -> Model:
    return numpyro_model(zoo.time_series, {"y": zoo.Y}, dims={"x": ("time",), "level": ("time",)})


def _fixed(y):
    sd = numpyro.sample("sd", dist.Delta(2.0))
    mu = numpyro.sample("mu", dist.Normal(0.0, sd))
    with numpyro.plate("row", zoo.N):
        shift = numpyro.sample("shift", dist.Delta(mu * jnp.arange(1.0, 7.0)))
        numpyro.sample("y", dist.Normal(shift, 1.0), obs=y)


def fixed() -> Model:
    return numpyro_model(_fixed, {"y": zoo.Y})


def _mixture(y):
    mu = numpyro.sample("mu", dist.Normal(0.0, 3.0).expand([2]).to_event(1))
    with numpyro.plate("row", len(y)):
        z = numpyro.sample("z", dist.Bernoulli(0.3))
        numpyro.sample("y", dist.Normal(mu[z], 1.0), obs=y)


def mixture() -> Model:
    return numpyro_model(_mixture, {"y": np.array([-3.0, -3.1, 4.0, 4.2])}, coords={"row": list("abcd")})
