"""The depth benchmark: its measure, and its five densities."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.flatten_util import ravel_pytree

from tests.support.depth_moments import DIMENSIONS, unit_moments
from workflows.studies.depth import (
    brownian,
    gaussian,
    german_credit,
    item_response,
    stochastic_volatility,
)
from workflows.studies.depth.bias import Crossing, Trace, b2, last_crossing, trace_of
from workflows.studies.depth.logistic import log_sigmoid
from workflows.studies.depth.targets import BUILDERS, DepthTarget, build


def test_b2_is_the_squared_error_over_the_variance() -> None:
    assert b2(np.array([[1.2, 1.0], [1.0, 3.0]]), unit_moments(2)) == pytest.approx(np.array([[0.02, 0.0], [0.0, 2.0]]))


def test_a_trace_takes_the_worst_and_the_mean_coordinate() -> None:
    trace = trace_of(np.array([3, 5]), np.array([[1.2, 1.0], [1.0, 1.0]]), unit_moments(2))
    assert trace.b2_max == pytest.approx([0.02, 0.0])
    assert trace.b2_avg == pytest.approx([0.01, 0.0])


def test_estimates_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*2 entries.*2 coordinates"):
        trace_of(np.array([1, 2]), np.ones((2, 3)), unit_moments(2))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.5, 0.1, 0.005, 0.004], 30),
        ([0.5, 0.001, 0.02, 0.004], 40),
        ([0.001, 0.001, 0.001, 0.001], 10),
        ([0.01, 0.01, 0.01, 0.01], 10),
        ([0.5, 0.001, 0.001, 0.011], None),
        ([0.5, np.nan, 0.001, 0.001], 30),
        ([0.5, 0.001, 0.001, np.nan], None),
    ],
)
def test_the_last_crossing_counts(values: list[float], expected: int | None) -> None:
    trace = Trace(np.array([10, 20, 30, 40]), np.array(values), np.zeros(4))
    assert last_crossing(trace, 0.01) == Crossing(expected, 10)


def test_independent_draws_have_the_bias_that_theory_says() -> None:
    """M b2 sums d chi-squares of 1 degree: the mean over 100 coordinates and 400 repeats has standard error 0.007."""
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((400, 50, 100))
    assert 50 * b2((draws**2).mean(axis=1), unit_moments(100)).mean() == pytest.approx(1.0, abs=6 * 0.0075)


@pytest.mark.parametrize("name", BUILDERS)
def test_starts_have_finite_densities_and_gradients(name: str) -> None:
    target = DepthTarget(build(name), unit_moments(DIMENSIONS[name]))
    starts = target.flatten(target.starts(jax.random.key(1), 64))
    values, gradients = jax.jit(jax.vmap(jax.value_and_grad(target.log_density())))(starts)
    assert starts.shape == (64, DIMENSIONS[name]) == (64, target.dimension)
    assert np.isfinite(values).all()
    assert np.isfinite(gradients).all()
    assert (starts.std(axis=0) > 0).all()


@pytest.mark.parametrize("name", BUILDERS)
def test_flat_vectors_follow_jax(name: str) -> None:
    target = DepthTarget(build(name), unit_moments(DIMENSIONS[name]))
    one = jax.tree.map(lambda x: x[0], target.starts(jax.random.key(2), 1))
    assert target.flatten(one) == pytest.approx(ravel_pytree(one)[0])
    as_numpy = jax.tree.map(np.asarray, one)
    assert isinstance(target.flatten(as_numpy), np.ndarray)


def _icg(position: dict[str, np.ndarray], data: Any) -> float:
    eigenvalues, vectors = gaussian.covariance_parts()
    covariance = (vectors * eigenvalues) @ vectors.T
    return -0.5 * position["x"] @ np.linalg.solve(covariance, position["x"])


def _german(position: dict[str, np.ndarray], data: Any) -> float:
    tau, local = np.exp(position["log_global"]), np.exp(position["log_local"])
    prior = scipy.stats.gamma(0.5, scale=2.0)
    total = prior.logpdf(tau) + np.log(tau) + (prior.logpdf(local) + np.log(local)).sum()
    total += scipy.stats.norm.logpdf(position["weights"]).sum()
    constant = data["signed_rows"][:, -1]
    logits = (constant[:, None] * data["signed_rows"]) @ (position["weights"] * local * tau)
    return total + scipy.stats.bernoulli.logpmf(constant > 0, scipy.special.expit(logits)).sum()


def _brownian(position: dict[str, np.ndarray], data: Any) -> float:
    a, b, path = np.exp(position["log_innovation"]), np.exp(position["log_observation"]), position["path"]
    total = sum(scipy.stats.lognorm.logpdf(scale, 2.0) + np.log(scale) for scale in (a, b))
    total += scipy.stats.norm.logpdf(np.diff(path, prepend=0.0), scale=a).sum()
    return total + scipy.stats.norm.logpdf(data["y"], np.delete(path, slice(10, 20)), b).sum()


def _item(position: dict[str, np.ndarray], data: Any) -> float:
    total = scipy.stats.norm.logpdf(position["mean"], 0.75)
    total += sum(scipy.stats.norm.logpdf(position[name]).sum() for name in ("ability", "difficulty"))
    student, question = np.nonzero(data["given"])
    logits = position["mean"] + position["ability"][student] - position["difficulty"][question]
    right = data["right"][student, question] > 0
    return total + scipy.stats.bernoulli.logpmf(right, scipy.special.expit(logits)).sum()


def _volatility(position: dict[str, np.ndarray], data: Any) -> float:
    sigma, nu = 0.02 * np.exp(position["log_sigma"]), 10.0 * np.exp(position["log_nu"])
    total = scipy.stats.expon.logpdf(sigma, scale=0.02) + np.log(sigma)
    total += scipy.stats.expon.logpdf(nu, scale=10.0) + np.log(nu)
    total += scipy.stats.norm.logpdf(np.diff(position["walk"], prepend=0.0), scale=sigma).sum()
    returns = np.sqrt(data["squared_returns"])
    return total + scipy.stats.t.logpdf(returns, nu, scale=np.exp(position["walk"])).sum()


TEXTBOOK: dict[str, Callable[[dict[str, np.ndarray], Any], float]] = {
    "icg": _icg,
    "german_credit": _german,
    "brownian": _brownian,
    "item_response": _item,
    "stochastic_volatility": _volatility,
}


@pytest.mark.parametrize("name", BUILDERS)
def test_densities_are_those_of_the_textbook_up_to_a_constant(name: str) -> None:
    target = DepthTarget(build(name), unit_moments(DIMENSIONS[name]))
    starts = target.starts(jax.random.key(3), 3)
    ours = np.asarray(jax.vmap(target.log_density())(target.flatten(starts)))
    each = [jax.tree.map(lambda x, i=i: np.asarray(x[i]), starts) for i in range(3)]
    theirs = np.array([TEXTBOOK[name](position, target.data) for position in each])
    assert np.diff(ours) == pytest.approx(np.diff(theirs), rel=1e-9)


def test_the_data_have_the_published_shapes() -> None:
    signed = german_credit.simulate()
    answers = item_response.simulate()
    assert signed.shape == (1000, 25)
    assert set(np.abs(signed[:, -1])) == {1.0}
    assert 0.2 < (signed[:, -1] > 0).mean() < 0.4
    assert answers.shape == (400, 100)
    assert np.count_nonzero(answers) == 30_105
    assert brownian.simulate().shape == (20,)
    assert stochastic_volatility.simulate().shape == (2427,)


def test_the_gaussian_is_that_of_the_gym() -> None:
    eigenvalues, vectors = gaussian.covariance_parts()
    assert eigenvalues[0] / eigenvalues[-1] == pytest.approx(131258.94, rel=1e-5)
    assert vectors.T @ vectors == pytest.approx(np.eye(100), abs=1e-12)


def test_the_gaussian_moments_are_those_of_its_draws() -> None:
    """20,000 draws: z of every mean square; |z| > 6.5 has probability 8e-11 each (light tails), 1e-8 in all."""
    eigenvalues, vectors = gaussian.covariance_parts()
    draws = np.random.default_rng(4).standard_normal((20_000, 100)) * np.sqrt(eigenvalues) @ vectors.T
    z = ((draws**2).mean(axis=0) - gaussian.moments().square) / np.sqrt(gaussian.moments().variance / 20_000)
    assert np.abs(z).max() < 6.5
    assert z.std() > 0.3


def test_log_sigmoid_is_exact_and_never_overflows() -> None:
    x = jnp.concatenate([jnp.linspace(-40.0, 40.0, 801), jnp.array([-1e4, 1e4])])
    values, gradients = jax.vmap(jax.value_and_grad(log_sigmoid))(x)
    assert np.asarray(values) == pytest.approx(np.asarray(jax.nn.log_sigmoid(x)), rel=1e-14, abs=1e-15)
    assert np.asarray(gradients) == pytest.approx(scipy.special.expit(-np.asarray(x)), rel=1e-13, abs=1e-300)
