"""The filter of noisy bond prices against multivariate normals."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from tests.support.models.bond_equations import SIGMA, check_priors, natural, step_means, step_sds, terms_of
from workflows.models.bond import simulate
from workflows.models.bond.kalman import filtered
from workflows.models.bond.model import build
from workflows.models.bond.published import DT


@pytest.mark.parametrize("error", [0.0, 0.003, 0.5])
def test_the_filter_against_a_multivariate_normal(error: float) -> None:
    """y_t - y_0, t = 1 .. n, have the covariance q^2 min(t, t') + s^2 (1 + [t = t']) and summed drifts as means."""
    rng = np.random.default_rng(3)
    n = 7
    y, drift = rng.standard_normal((n + 1, 9)), rng.standard_normal((n, 9))
    process = SIGMA * np.sqrt(DT)
    found = filtered(jnp.asarray(y), jnp.asarray(drift), jnp.asarray(process), jnp.asarray(error))
    times = np.arange(1, n + 1)
    for k in range(9):
        covariance = process[k] ** 2 * np.minimum.outer(times, times) + error**2 * (1.0 + np.eye(n))
        law = multivariate_normal(np.cumsum(drift[:, k]), covariance)
        assert float(found.log_likelihood[k]) == pytest.approx(law.logpdf(y[1:, k] - y[0, k]), rel=1e-9)


def test_the_filtered_level_is_the_conditional_normal() -> None:
    """x_n given y_0 .. y_n from the joint normal of (x_n - y_0, y_t - y_0)."""
    rng = np.random.default_rng(4)
    n, q, s = 5, 0.3, 0.2
    y, drift = rng.standard_normal((n + 1, 1)), rng.standard_normal((n, 1))
    found = filtered(jnp.asarray(y), jnp.asarray(drift), jnp.asarray([q]), jnp.asarray(s))
    times = np.arange(1, n + 1)
    own = q**2 * np.minimum.outer(times, times) + s**2 * (1.0 + np.eye(n))
    with_last = q**2 * times + s**2
    weights = np.linalg.solve(own, with_last)
    mean = y[0, 0] + drift.sum() + weights @ (y[1:, 0] - y[0, 0] - np.cumsum(drift))
    assert float(found.mean[0]) == pytest.approx(mean, rel=1e-10)
    assert float(found.variance[0]) == pytest.approx(n * q**2 + s**2 - weights @ with_last, rel=1e-9)


def test_density_of_noisy_prices_by_hand() -> None:
    """The model's term of each maturity: a multivariate normal about drifts of the printed equation."""
    series, error, n = simulate.simulate(20), 0.01, 20
    terms = terms_of(build(weeks=n, observed="noisy", error=error))
    check_priors(terms)
    theta, measured = natural(), simulate.measured(series.price, error)
    drift = [step_means(theta, np.zeros(9), r, w, DT)[:9] for r, w in zip(*series[1:], strict=True)][:-1]
    times = np.arange(1, n + 1)
    for k in range(9):
        covariance = theta.sigma[k] ** 2 * DT * np.minimum.outer(times, times) + error**2 * (1.0 + np.eye(n))
        law = multivariate_normal(np.cumsum(np.array(drift)[:, k]), covariance)
        assert terms["prices"][k] == pytest.approx(law.logpdf(measured[1:, k] - measured[0, k]), rel=1e-9)
    states = np.column_stack(series)
    means = np.array([step_means(theta, s[:9], s[9], s[10], DT)[9:] for s in states[:-1]])
    expected = norm.logpdf(states[1:, 9:], means, step_sds(theta, DT)[9:])
    np.testing.assert_allclose(np.stack([terms["short_rate"], terms["wealth"]], axis=1), expected, rtol=1e-9)


def test_errors_of_measurement_are_of_their_size() -> None:
    """Mean square of 18,729 errors over its expectation: within 6 standard errors, false alarms below 1e-7."""
    price = simulate.simulate(2080).price
    errors = (simulate.measured(price, 0.002) - price) / 0.002
    assert abs(np.mean(errors**2) - 1.0) < 6 * np.sqrt(2 / errors.size)
    assert abs(np.mean(errors)) < 6 / np.sqrt(errors.size)
