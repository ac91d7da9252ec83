"""Negative binomial counts of 2,000 genes with gene effects around shared parameters, centred.

y ~ NB(mean = exp(lib_s + a_g + d_g treated_s), variance = mean + phi_g mean^2), log phi_g ~ N(mu_p, sd_p).
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from workflows.modelling.stock import Stock
from workflows.models.airway.dataset import load

GENES = 2000
SHARED = ("mu_a", "sd_a", "sd_d", "mu_p", "sd_p")
STARTS = (
    dict(zip(SHARED, (4.0, 2.0, 0.3, -3.0, 1.2), strict=True)),
    dict(zip(SHARED, (5.0, 3.0, 0.15, -4.0, 2.0), strict=True)),
)
"""Two starts on either side of the published means; chains take them in turn."""


def model(library: jax.Array, treated: jax.Array, counts: jax.Array) -> None:
    """library, treated: [sample]; counts: [sample, gene]."""
    mu_a = numpyro.sample("mu_a", dist.Normal(4.0, 5.0))
    sd_a = numpyro.sample("sd_a", dist.HalfNormal(5.0))
    sd_d = numpyro.sample("sd_d", dist.HalfNormal(1.0))
    mu_p = numpyro.sample("mu_p", dist.Normal(-2.0, 2.0))
    sd_p = numpyro.sample("sd_p", dist.HalfNormal(1.0))
    with numpyro.plate("gene", counts.shape[1]):
        a = numpyro.sample("a", dist.Normal(mu_a, sd_a))
        d = numpyro.sample("d", dist.Normal(0.0, sd_d))
        log_phi = numpyro.sample("log_phi", dist.Normal(mu_p, sd_p))
        with numpyro.plate("sample", counts.shape[0]):
            mean = jnp.exp(library[:, None] + a + d * treated[:, None])
            numpyro.sample("y", dist.NegativeBinomial2(mean, jnp.exp(-log_phi)), obs=counts)


def stock() -> Stock:
    """The model on the data of configs/airway_small.yaml."""
    airway = load(GENES)
    level = np.log((airway.counts / np.exp(airway.library)[:, None]).mean(axis=0) + 0.5)

    def start(chain: int) -> dict[str, np.ndarray]:
        shared = STARTS[chain % len(STARTS)]
        rng = np.random.default_rng(100 + chain)
        effects = {
            "a": level + 0.1 * rng.standard_normal(GENES),
            "d": 0.1 * rng.standard_normal(GENES),
            "log_phi": shared["mu_p"] + 0.5 * rng.standard_normal(GENES),
        }
        return {name: np.asarray(value) for name, value in (shared | effects).items()}

    data = (jnp.asarray(airway.library), jnp.asarray(airway.treated), jnp.asarray(airway.counts))
    return Stock(model, data, (*SHARED, "a", "d", "log_phi"), start)
