"""Log incomes, Student's t about a regression on education and experience whose coefficients vary by area and state.

Coefficients of a state are normal about the country's, those of an area correlated normal about its state's, in the
coordinates z ~ N(0, I) of the latter: few workers live in most areas.
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.stock import Stock
from workflows.models.census.dataset import load
from workflows.models.census.model import COEFFICIENTS, covariates_of

COUNTRY = (6.4, 0.2, 0.0, -0.1)
"""Coefficients of a regression on all workers, to a digit."""
SCALARS = (
    *(f"{kind}_{name}" for kind in ("mu", "sd_state", "sd_area") for name in COEFFICIENTS),
    "sigma",
    "nu",
)


def model(log_income: jax.Array, covariates: jax.Array, area: jax.Array, state: jax.Array, states: int) -> None:
    """log_income: [worker]; covariates: [4, worker]; area: [worker] and state: [area] indices."""
    normals = {name: dist.Normal(*((6.5, 1.0) if name == "intercept" else (0.0, 0.5))) for name in COEFFICIENTS}
    mu = [numpyro.sample(f"mu_{name}", prior) for name, prior in normals.items()]
    sd_state, sd_area = (
        [numpyro.sample(f"{kind}_{name}", dist.Gamma(2.0, 8.0)) for name in COEFFICIENTS]
        for kind in ("sd_state", "sd_area")
    )
    cholesky = numpyro.sample("cholesky", dist.LKJCholesky(4, 2.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1))
    with numpyro.plate("state", states):
        of_state = [
            numpyro.sample(f"state_{name}", dist.Normal(mu[k], sd_state[k])) for k, name in enumerate(COEFFICIENTS)
        ]
    with numpyro.plate("area", state.shape[0]):
        z = numpyro.sample("z", dist.MultivariateNormal(jnp.zeros(4), jnp.eye(4)))
    numpyro.deterministic("correlation", cholesky @ cholesky.T)
    deviation = jnp.einsum("kl,al->ak", jnp.diag(jnp.stack(sd_area)) @ cholesky, z)
    coefficients = numpyro.deterministic("coefficients", jnp.stack(of_state, axis=1)[state] + deviation)
    expected = jnp.einsum("kw,wk->w", covariates, coefficients[area])
    numpyro.sample("y", dist.StudentT(nu, expected, sigma), obs=log_income)


def stock() -> Stock:
    """The model on the data of configs/census.yaml."""
    workers = load()
    data = (
        jnp.asarray(workers.log_income),
        jnp.asarray(covariates_of(workers.education, workers.experience)),
        jnp.asarray(workers.area),
        jnp.asarray(workers.state),
        len(workers.states),
    )
    sites = (*SCALARS, *(f"state_{name}" for name in COEFFICIENTS), "correlation", "coefficients")
    return Stock(model, data, sites, lambda chain: _start(chain, len(workers.areas), len(workers.states)))


def _start(chain: int, areas: int, states: int) -> dict[str, np.ndarray]:
    """About a plain regression, scales from a third of what is plausible to three times it."""
    rng = np.random.default_rng(200 + chain)

    def scale(middle: float) -> np.ndarray:
        return np.asarray(middle * 3.0 ** rng.uniform(-1.0, 1.0))

    of_country = dict(zip(COEFFICIENTS, COUNTRY, strict=True))
    return (
        {f"mu_{name}": np.asarray(value + 0.1 * rng.standard_normal()) for name, value in of_country.items()}
        | {f"{kind}_{name}": scale(0.05) for kind in ("sd_state", "sd_area") for name in COEFFICIENTS}
        | {f"state_{name}": value + 0.05 * rng.standard_normal(states) for name, value in of_country.items()}
        | {"sigma": scale(0.5), "nu": scale(6.0), "cholesky": np.eye(4), "z": rng.standard_normal((areas, 4))}
    )
