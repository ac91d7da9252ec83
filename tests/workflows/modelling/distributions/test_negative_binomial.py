"""The negative binomial of models of reads: values, gradients and draws, at the extremes too."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from workflows.modelling.distributions.negative_binomial import NegativeBinomial, count_constant, log_probability


def exact_log_probability(y: int, mu: float, phi: float) -> float:
    """log NB by sums over the counts in long double: nothing cancels, however small phi."""
    i = np.arange(y, dtype=np.longdouble)
    r, m = 1 / np.longdouble(phi), np.longdouble(mu)
    gammas = np.sum(np.log1p(i / r)) - np.sum(np.log(i + 1))
    return float(gammas + y * np.log(m) - (y + r) * np.log1p(m / r))


@pytest.mark.parametrize("phi", [1e-12, 1e-6, 1e-3, 0.124, 0.126, 1.0, 100.0, 1e6])
@pytest.mark.parametrize("mu", [1e-3, 0.5, 30.0, 1e6])
@pytest.mark.parametrize("y", [0, 1, 7, 40, 1_000_000])
def test_negative_binomial_at_the_extremes(y: int, mu: float, phi: float) -> None:
    found = NegativeBinomial(jnp.float64(mu), jnp.float64(phi)).log_prob(jnp.int32(y))
    exact = exact_log_probability(y, mu, phi)
    # y log mu alone is about 1e7 at a million counts: one unit of its last place is 2e-9.
    assert float(found) == pytest.approx(exact, rel=2e-12, abs=1e-13 + 1e-14 * y)


def test_negative_binomial_agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    y, mu, phi = rng.poisson(30, (6, 50)), rng.uniform(1, 200, (6, 50)), 10.0 ** rng.uniform(-3, 1, 50)
    expected = scipy.stats.nbinom.logpmf(y, 1 / phi, 1 / (1 + mu * phi))
    found = log_probability(y, count_constant(jnp.asarray(y)), jnp.asarray(mu), jnp.log(mu), jnp.asarray(phi))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_negative_binomial_gradients_agree_with_the_textbook_formula() -> None:
    rng = np.random.default_rng(1)
    y = jnp.asarray(rng.poisson(30, (4, 20)))
    position = {"eta": jnp.asarray(rng.normal(3, 1, (4, 20))), "log_phi": jnp.asarray(rng.uniform(-6, 3, 20))}

    def ours(p):
        return log_probability(y, count_constant(y), jnp.exp(p["eta"]), p["eta"], jnp.exp(p["log_phi"])).sum()

    def textbook(p):
        r, gamma = jnp.exp(-p["log_phi"]), jax.scipy.special.gammaln
        return jnp.sum(
            gamma(y + r) - gamma(r) - gamma(y + 1.0) + y * p["eta"] + r * jnp.log(r)
            - (y + r) * jnp.log(jnp.exp(p["eta"]) + r)
        )  # fmt: skip

    expected = jax.jit(jax.grad(textbook))(position)
    for name, gradient in jax.jit(jax.grad(ours))(position).items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("rate", "phi"), [(math.inf, 1.0), (math.nan, 1.0), (1.0, math.inf), (1.0, 0.0), (1.0, math.nan)]
)
def test_negative_binomial_is_not_finite_where_its_parameters_are_not(rate: float, phi: float) -> None:
    value = log_probability(jnp.int32(3), 0.0, jnp.float64(rate), jnp.float64(0.0), jnp.float64(phi))
    assert not math.isfinite(value)


def test_negative_binomial_draws_have_its_moments() -> None:
    """Mean and variance of 40,000 draws within 6 standard errors (kurtosis bounded by 15): false alarms below 1e-6."""
    likelihood = NegativeBinomial(jnp.float64(20.0), jnp.float64(0.3))
    draws = np.asarray(likelihood.sample(jax.random.key(0), (40_000,)))
    variance = float(likelihood.variance)
    assert variance == pytest.approx(20.0 + 0.3 * 400.0)
    assert abs(draws.mean() - 20.0) < 6 * math.sqrt(variance / 40_000)
    assert abs(draws.var() / variance - 1.0) < 6 * math.sqrt(14 / 40_000)
