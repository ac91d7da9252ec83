"""Counts with a hidden event: a change of rate, animals caught again, parts of a mixture."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.scipy.special import logsumexp
from numpyro.distributions import constraints

from workflows.studies.posteriors.posterior import Built


def changepoint() -> Built:
    """Accidents of 110 years, the year of the change summed out."""

    def model(y: jax.Array) -> None:
        early = numpyro.sample("early", dist.Exponential(1.0))
        late = numpyro.sample("late", dist.Exponential(1.0))
        before = jnp.cumsum(dist.Poisson(early).log_prob(y))
        after = jnp.cumsum(dist.Poisson(late).log_prob(y)[::-1])[::-1]
        # The change comes after year s = 1, ..., T - 1.
        numpyro.factor("y", logsumexp(before[:-1] + after[1:]))

    rng = np.random.default_rng(801)
    return model, {"y": rng.poisson(np.where(np.arange(110) < 41, 3.0, 1.0))}


def recapture() -> Built:
    """Birds ringed in 6 years and caught again: of the last survival and capture only the product is known."""

    def model(caught: jax.Array) -> None:
        years = caught.shape[0]
        phi = numpyro.sample("phi", dist.Uniform(0, 1).expand([years]).to_event(1))
        p = numpyro.sample("p", dist.Uniform(0, 1).expand([years]).to_event(1))
        rows = []
        for i in range(years):
            alive_unseen, cells = jnp.ones(()), [jnp.zeros(())] * i
            for j in range(i, years):
                alive_unseen = alive_unseen * phi[j]
                cells.append(alive_unseen * p[j])
                alive_unseen = alive_unseen * (1 - p[j])
            rows.append(jnp.stack([*cells, 1 - sum(cells)]))
        # Cells that cannot be are 0 in the data too.
        numpyro.factor(
            "caught", jnp.sum(jnp.where(caught > 0, caught * jnp.log(jnp.maximum(jnp.stack(rows), 1e-300)), 0))
        )

    rng = np.random.default_rng(802)
    phi, p, years = np.full(6, 0.55), np.array([0.7, 0.9, 0.8, 0.85, 0.9, 0.9]), 6
    table = np.zeros((years, years + 1), int)
    for i, ringed in enumerate((22, 60, 78, 80, 88, 98)):
        cell = np.zeros(years + 1)
        left = 1.0
        for j in range(i, years):
            cell[j], left = left * phi[j] * p[j], left * phi[j] * (1 - p[j])
        cell[-1] = 1 - cell.sum()
        table[i] = rng.multinomial(ringed, cell)
    return model, {"caught": table}


def mixture() -> Built:
    """Two normals at -2.75 and 2.75, ordered: 1,000 values."""

    def model(y: jax.Array) -> None:
        mu = numpyro.sample("mu", dist.ImproperUniform(constraints.ordered_vector, (), (2,)))
        numpyro.factor("mu_prior", dist.Normal(0, 2).log_prob(mu).sum())
        sigma = numpyro.sample("sigma", dist.HalfNormal(2).expand([2]).to_event(1))
        theta = numpyro.sample("theta", dist.Beta(5, 5))
        parts = dist.Categorical(probs=jnp.stack([theta, 1 - theta]))
        with numpyro.plate("value", y.shape[0]):
            numpyro.sample("y", dist.MixtureSameFamily(parts, dist.Normal(mu, sigma)), obs=y)

    rng = np.random.default_rng(803)
    return model, {"y": np.where(rng.random(1000) < 0.62, -2.75, 2.75) + rng.normal(size=1000)}
