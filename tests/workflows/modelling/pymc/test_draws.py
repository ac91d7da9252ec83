"""Predictions and prior draws of PyMC models, against exact probabilities and PyMC's own draws.

Each mean lies within Z of its standard errors: a false alarm in 1e-7 for one normal mean, some 1e-6 for a test.
"""

from typing import Any

import jax
import numpy as np
import pytest
from scipy import stats

pm = pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")

import maxwell
from tests.support.models.pymc_zoo import ZOO

DRAWS = 20_000
Z = 5.5


def predicted(model: Any, values: dict[str, Any]) -> np.ndarray:
    """New outcomes of `y`, one set a key."""
    read = maxwell.pymc_model(model)
    generative = read.generative
    assert generative is not None
    one = jax.jit(jax.vmap(lambda key: generative.predict(key, values, read.data)["y"]))
    return np.asarray(one(jax.random.split(jax.random.key(3), DRAWS)))


def require_mean(values: np.ndarray, expected: Any) -> None:
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert np.max(np.abs(values.mean(axis=0) - expected) / error) < Z


def test_zero_inflated_counts_are_zero_as_often_as_they_should() -> None:
    y = predicted(ZOO["zero_inflated"](), {"psi": 0.3, "rate": 2.0})[:, :3]
    require_mean((y == 0).astype(float), 0.7 + 0.3 * np.exp(-2.0))
    require_mean(y, 0.6)


def test_a_mixture_is_drawn_with_its_weights() -> None:
    y = predicted(ZOO["mixture"](), {"w": np.array([0.2, 0.8]), "mu": np.array([-10.0, 10.0])})[:, :3]
    require_mean((y > 0).astype(float), 0.8)


def test_categories_are_drawn_with_their_probabilities() -> None:
    """PyTensor's own sampler for JAX draws them with others, and is as it was afterwards."""
    from pytensor.link.jax.dispatch.random import jax_sample_fn
    from pytensor.tensor.random.basic import CategoricalRV

    before = jax_sample_fn.dispatch(CategoricalRV)
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones(3))
        pm.Categorical("y", p=p, observed=[0, 1, 2])
    y = predicted(model, {"p": np.array([0.1, 0.2, 0.7])})[:, 0]
    require_mean(np.stack([y == k for k in range(3)], axis=1).astype(float), [0.1, 0.2, 0.7])
    assert jax_sample_fn.dispatch(CategoricalRV) is before


def test_censored_outcomes_pile_up_at_the_bounds() -> None:
    y = predicted(ZOO["censored"](), {"mu": 0.5, "sigma": 1.0})[:, :3]
    require_mean((y == 1.0).astype(float), stats.norm.sf(0.5))
    require_mean((y == -1.0).astype(float), stats.norm.cdf(-1.5))


DISTRIBUTIONS = {
    "Normal": (1.0, 2.0),
    "HalfNormal": (2.0,),
    "Exponential": (0.5,),
    "Gamma": (2.0, 1.5),
    "InverseGamma": (5.0, 2.0),
    "Beta": (2.0, 3.0),
    "Uniform": (-1.0, 2.0),
    "LogNormal": (0.2, 0.5),
    "Laplace": (1.0, 2.0),
    "Logistic": (1.0, 2.0),
    "Gumbel": (1.0, 2.0),
    "Poisson": (3.0,),
    "Binomial": (7, 0.3),
    "NegativeBinomial": (3.0, 2.0),
    "Geometric": (0.3,),
    "Bernoulli": (0.3,),
    "BetaBinomial": (2.0, 3.0, 8),
}


@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS))
def test_outcomes_have_the_quantiles_of_pymcs(name: str) -> None:
    kind = getattr(pm, name)
    reference = pm.draw(kind.dist(*DISTRIBUTIONS[name]), draws=DRAWS, random_seed=4, mode="FAST_COMPILE")
    with pm.Model() as model:
        pm.Normal("unrelated")
        pm_values = {"observed": np.asarray(reference[:2])}
        kind("y", *DISTRIBUTIONS[name], **pm_values)
    y = predicted(model, {"unrelated": 0.0})[:, 0]
    for quantile in np.quantile(reference, [0.1, 0.5, 0.9]):
        share = np.mean(reference <= quantile)
        error = np.sqrt(2 * share * (1 - share) / DRAWS) or 1 / DRAWS
        assert abs(np.mean(y <= quantile) - share) < Z * error


def test_prior_draws_have_every_variable_and_fit_together() -> None:
    read = maxwell.pymc_model(ZOO["eight_schools_noncentred"]())
    generative = read.generative
    assert generative is not None
    keys = jax.random.split(jax.random.key(5), DRAWS)
    values, outcomes = jax.jit(jax.vmap(lambda key: generative.prior(key, read.data)))(keys)
    assert set(values) == {"mu", "tau", "z", "theta"}
    rebuilt = values["mu"][:, None] + values["tau"][:, None] * values["z"]
    np.testing.assert_allclose(values["theta"], rebuilt, rtol=1e-12, atol=1e-12)
    require_mean(np.asarray(values["mu"]), 0.0)
    require_mean(np.asarray(values["tau"]), 5.0 * np.sqrt(2 / np.pi))
    require_mean(np.asarray(outcomes["y"] - values["theta"]), 0.0)


def test_starts_are_draws_from_the_prior() -> None:
    read = maxwell.pymc_model(ZOO["eight_schools_centred"]())
    starts = jax.vmap(lambda key: read.target.initial(key, read.data))(jax.random.split(jax.random.key(6), DRAWS))
    below = np.asarray(starts["tau"] < np.log(5.0)).astype(float)
    require_mean(below, 0.5)  # the median of a half-Cauchy is its scale
    require_mean(np.asarray(starts["mu"]), 0.0)
