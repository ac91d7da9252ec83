"""Shrinkage of many coefficients, of which few are there."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.studies.posteriors.posterior import Built


def horseshoe() -> Built:
    """The regularised horseshoe with 50 covariates and 100 rows, 5 coefficients away from 0."""

    def model(x: jax.Array, y: jax.Array) -> None:
        rows, columns = x.shape
        sigma = numpyro.sample("sigma", dist.HalfNormal(2))
        tau = numpyro.sample("tau", dist.HalfCauchy(1))
        slab = numpyro.sample("slab", dist.InverseGamma(2, 8))
        a = numpyro.sample("a", dist.Normal(0, 5))
        with numpyro.plate("covariate", columns):
            z = numpyro.sample("z", dist.Normal(0, 1))
            lam = numpyro.sample("lam", dist.HalfCauchy(1))
        scale = 5 / (columns - 5) * sigma / jnp.sqrt(rows) * tau
        width = jnp.sqrt(slab) * lam / jnp.sqrt(slab + (scale * lam) ** 2)
        beta = numpyro.deterministic("beta", z * scale * width)
        with numpyro.plate("row", rows):
            numpyro.sample("y", dist.Normal(a + x @ beta, sigma), obs=y)

    rng = np.random.default_rng(901)
    x = rng.normal(size=(100, 50))
    beta = np.zeros(50)
    beta[:5] = [2.0, -1.5, 1.0, 0.5, -0.3]
    return model, {"x": x, "y": 1.0 + x @ beta + rng.normal(0, 1.0, 100)}
