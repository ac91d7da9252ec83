"""Simulation-based calibration of NUTS on a small hierarchy (Talts et al. 2018, arXiv 1804.06788).

Ranks, and how seldom they fail by chance, are those of tests.support.calibration; starts are draws from the prior.
Draws are
thinned by 4, after which those of NUTS here are as good as independent. Besides parameters the log likelihood is
ranked, which ties them to the data (Modrak et al. 2023, Bayesian Analysis 20, 461-488).
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.state import LevelView, evaluate
from kernels.structure.discovery import discover
from kernels.structure.joining import level_of_all_sites
from kernels.target import Site, Target
from kernels.transitions.nuts.sampler import Nuts, NutsParameters
from tests.support.calibration import calibrated, neighbours, shifted, widened
from tests.support.harness import normal

pytestmark = pytest.mark.slow

DATASETS, WARM_UP, KEPT, THIN = 1600, 30, 15, 4
GROUPS, PER_GROUP = 4, 3


def log_terms(position: dict[str, jax.Array], y: jax.Array) -> dict[str, jax.Array]:
    """mu ~ N(0, 1), log tau ~ N(-0.5, 0.5), z_g ~ N(0, 1), y_gi ~ N(mu + tau z_g, 1)."""
    mu, log_tau, z = position["mu"], position["log_tau"], position["z"]
    return {
        "mu": normal(mu, 0.0, 1.0),
        "log_tau": normal(log_tau, -0.5, 0.5),
        "z": normal(z, 0.0, 1.0),
        "y": normal(y, (mu + jnp.exp(log_tau) * z)[:, None], 1.0),
    }


def from_prior(key: jax.Array) -> dict[str, jax.Array]:
    mu, log_tau, z = jnp.split(jax.random.normal(key, (2 + GROUPS,), jnp.float64), [1, 2])
    return {"mu": mu[0], "log_tau": -0.5 + 0.5 * log_tau[0], "z": z}


def quantities(position: dict[str, jax.Array], y: jax.Array) -> jax.Array:
    """What is ranked."""
    mu, log_tau, z = position["mu"], position["log_tau"], position["z"]
    return jnp.stack([mu, log_tau, z[0], mu + jnp.exp(log_tau) * z[0], jnp.sum(log_terms(position, y)["y"])])


@cache
def simulations() -> tuple[np.ndarray, np.ndarray]:
    """Quantities of the truths [datasets, Q] and of the posterior draws [datasets, L, Q]."""
    sites = {"mu": Site("mu", ()), "log_tau": Site("log_tau", ()), "z": Site("z", (GROUPS,), ("group",))}
    kinds = dict.fromkeys(("mu", "log_tau", "z"), "prior") | {"y": "likelihood"}
    target = Target(sites, kinds, log_terms, lambda position, y: position, lambda key, y: from_prior(key))
    data = jnp.linspace(-1.0, 1.0, GROUPS * PER_GROUP).reshape(GROUPS, PER_GROUP)
    structure = discover(target, data, from_prior(jax.random.key(0)), key=jax.random.key(1))
    nuts = Nuts(LevelView(target, structure, level_of_all_sites(target, structure)), 4)
    factor = jnp.asarray([0.4, 0.45, *np.full(GROUPS, 0.8)])[:, None]
    parameters = NutsParameters(jnp.asarray(1.0), jnp.asarray(0.55), factor, jnp.asarray(4))

    def simulate(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, 4)
        truth = from_prior(keys[0])
        mean = truth["mu"] + jnp.exp(truth["log_tau"]) * truth["z"]
        y = mean[:, None] + jax.random.normal(keys[1], (GROUPS, PER_GROUP), jnp.float64)
        start = jax.tree.map(lambda leaf: leaf[None], evaluate(target, structure, from_prior(keys[2]), y))

        def one(state: Any, key: jax.Array) -> Any:
            state = nuts.step(key[None], state, y, parameters)[0]
            return state, quantities(jax.tree.map(lambda leaf: leaf[0], state.position), y)

        drawn = jax.lax.scan(one, start, jax.random.split(keys[3], WARM_UP + KEPT * THIN))[1]
        return quantities(truth, y), drawn[WARM_UP::THIN]

    keys = jax.random.split(jax.random.key(2), DATASETS)
    truths, draws = jax.jit(jax.vmap(simulate))(keys)
    return np.asarray(truths), np.asarray(draws)


def test_ranks_are_uniform() -> None:
    assert calibrated(*simulations())


def test_a_posterior_shifted_by_a_third_of_its_sd_fails() -> None:
    truths, draws = simulations()
    assert not calibrated(truths, shifted(draws, 0.3))


def test_a_posterior_too_wide_by_a_third_fails() -> None:
    truths, draws = simulations()
    assert not calibrated(truths, widened(draws, 1.3))


def test_the_draws_that_are_ranked_are_nearly_independent() -> None:
    """Correlation of neighbours after thinning, over all data sets: below 0.1, where ranks notice nothing."""
    assert np.abs(neighbours(simulations()[1])).max() < 0.1
