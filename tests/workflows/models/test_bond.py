"""The bond model: its weeks, its densities, the filter of noisy prices, the bridges between weeks, what flattens it."""

from itertools import pairwise
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import xarray
from scipy.stats import multivariate_normal, norm

from workflows.modelling.errors import ModelError
from workflows.models.bond import bridges, simulate
from workflows.models.bond import table as report
from workflows.models.bond.dynamics import Theta
from workflows.models.bond.explanations import EXPLANATIONS, NONE, explained, shares, slope, without
from workflows.models.bond.kalman import filtered
from workflows.models.bond.model import build, intervals
from workflows.models.bond.published import DT, FIRST_PRICE, LABELS, MATURITIES, TRUTH, WIDTHS

TRUE = Theta(**TRUTH)
SIGMA = np.array([0.05, 0.02, 0.1, 0.04, 0.2, 0.08, 0.3, 0.15, 0.25])
OTHER = Theta(np.array(2.5), SIGMA, np.array(0.8), np.array(0.04), np.array(-0.1), np.array(0.09), np.array(-0.02))
"""Parameters without any order or smallness."""


def step_means(theta: Theta, price: np.ndarray, rate: float, wealth: float, dt: float) -> np.ndarray:
    """Means [11] of prices, rate and wealth after a step, as they are printed, one maturity after the other."""
    total = sum(1 / 35 * theta.sigma[s] * WIDTHS[s] for s in range(9))
    prices = [
        price[k] + (rate + theta.gamma / wealth * theta.sigma[k] * total - theta.sigma[k] ** 2 / 2) * dt
        for k in range(9)
    ]
    return np.array([*prices, rate + theta.kappa * (theta.rbar - rate) * dt, wealth + theta.omega * dt])


def step_sds(theta: Theta, dt: float) -> np.ndarray:
    return np.sqrt(dt) * np.array([*theta.sigma, theta.sigma_r, theta.sigma_w])


def plain_path(theta: Theta, noise: np.ndarray) -> np.ndarray:
    """States [weeks + 1, 11] by a loop."""
    states = [np.array([*FIRST_PRICE, 0.03, 1.0])]
    for e in noise:
        old = states[-1]
        states.append(step_means(theta, old[:9], old[9], old[10], DT) + step_sds(theta, DT) * e)
    return np.array(states)


def standardised(series: simulate.Series, theta: Theta) -> np.ndarray:
    """The noises [weeks, 11] behind the states."""
    states = np.column_stack(series)
    means = np.array([step_means(theta, s[:9], s[9], s[10], DT) for s in states[:-1]])
    return (states[1:] - means) / step_sds(theta, DT)


@pytest.mark.parametrize("theta", [TRUE, OTHER])
def test_weeks_follow_the_printed_equations(theta: Theta) -> None:
    noise = np.random.default_rng(1).standard_normal((40, 11))
    np.testing.assert_allclose(np.column_stack(simulate.path(theta, noise)), plain_path(theta, noise), atol=1e-12)


def test_published_constants() -> None:
    """Buckets of 35 years in all, held whole; sigma .01 tau^.9, by hand at one year and at its ends."""
    assert WIDTHS.sum() == 35.0
    np.testing.assert_allclose(TRUTH["sigma"][[0, 1, -1]], [0.00287175, 0.01, 0.21350], rtol=1e-4)
    assert {name: float(value) for name, value in TRUTH.items() if value.ndim == 0} == {
        "gamma": 1.0, "kappa": 0.3, "sigma_r": 0.01, "omega": 0.05, "sigma_w": 0.02, "rbar": 0.03,
    }  # fmt: skip


def test_the_data_are_always_the_same_and_fewer_weeks_are_the_first() -> None:
    few, more = simulate.simulate(30), simulate.simulate(60)
    for a, b in zip(few, more, strict=True):
        np.testing.assert_array_equal(a, b[:31])
        np.testing.assert_array_equal(a, a.round(simulate.DECIMALS))
    noise = np.random.default_rng(2080).standard_normal((30, 11))
    np.testing.assert_allclose(np.column_stack(few), plain_path(TRUE, noise), atol=0.51e-8)


def test_noises_of_a_week_are_independent_standard_normals() -> None:
    """Covariance of 2,080 weeks within 6.5 standard errors of the identity: false alarms below 1e-7 of 66 entries.

    With one noise for all states every entry would be 1 and the covariance singular; here no direction is lost.
    """
    noise = standardised(simulate.simulate(2080), TRUE)
    covariance = noise.T @ noise / len(noise)
    error = np.sqrt((1.0 + np.eye(11)) / len(noise))
    assert np.all(np.abs(covariance - np.eye(11)) < 6.5 * error)
    # The lower edge of the spectrum of so many independent normals is (1 - sqrt(11 / 2080))^2 = .86.
    assert np.linalg.eigvalsh(covariance).min() > 0.7
    assert np.all(np.abs(noise.mean(axis=0)) < 6 / np.sqrt(len(noise)))


PRIOR_SCALES = {"gamma": 5.0, "sigma": 0.5, "kappa": 1.0, "sigma_r": 0.05, "sigma_w": 0.1}
POSITION = {
    "gamma": 0.4,
    "sigma": np.log(SIGMA),
    "kappa": -0.7,
    "sigma_r": -3.9,
    "omega": 0.11,
    "sigma_w": -3.0,
    "rbar": 0.06,
}
"""Unconstrained: logarithms of what is positive."""


def position() -> dict[str, jax.Array]:
    return {name: jnp.asarray(value, jnp.float64) for name, value in POSITION.items()}


def natural() -> Theta:
    return Theta(**{name: np.exp(x) if name in PRIOR_SCALES else np.asarray(x) for name, x in POSITION.items()})


def check_priors(terms: dict[str, np.ndarray]) -> None:
    theta = natural()._asdict()
    for name, scale in PRIOR_SCALES.items():
        expected = scipy.stats.halfnorm.logpdf(theta[name], scale=scale) + POSITION[name]
        np.testing.assert_allclose(terms[name], expected, rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(terms["omega"], norm.logpdf(theta["omega"], 0.0, 0.2), rtol=1e-10)
    np.testing.assert_allclose(terms["rbar"], norm.logpdf(theta["rbar"], 0.03, 0.05), rtol=1e-10)


def terms_of(model) -> dict[str, np.ndarray]:
    data = jax.tree.map(jnp.asarray, model.data)
    return {name: np.asarray(value) for name, value in jax.jit(model.target.log_terms)(position(), data).items()}


def gradient_is_finite(model, at: dict[str, jax.Array]) -> bool:
    def density(x):
        return sum(jnp.sum(term) for term in model.target.log_terms(x, jax.tree.map(jnp.asarray, model.data)).values())

    found = jax.tree.leaves(jax.jit(jax.grad(density))(at))
    return all(np.isfinite(leaf).all() and np.any(leaf != 0.0) for leaf in found)


def test_density_of_all_states_against_scipy() -> None:
    series = simulate.simulate(25)
    terms = terms_of(build(weeks=25))
    check_priors(terms)
    states = np.column_stack(series)
    means = np.array([step_means(natural(), s[:9], s[9], s[10], DT) for s in states[:-1]])
    expected = norm.logpdf(states[1:], means, step_sds(natural(), DT))
    np.testing.assert_allclose(terms["price"], expected[:, :9].T, rtol=1e-9)
    np.testing.assert_allclose(terms["short_rate"], expected[:, 9], rtol=1e-9)
    np.testing.assert_allclose(terms["wealth"], expected[:, 10], rtol=1e-9)
    assert terms.keys() == {*POSITION, "price", "short_rate", "wealth"}


@pytest.mark.parametrize("observed", ["all", "noisy", "sparse"])
def test_gradients_are_finite_at_starts_and_names_are_those_of_theta(observed: str) -> None:
    model = build(weeks=24, observed=observed, samples=3)
    data = jax.tree.map(jnp.asarray, model.data)
    start = model.target.initial(jax.random.key(0), data)
    assert gradient_is_finite(model, start)
    values = model.target.constrain(start, data)
    assert set(values) == set(Theta._fields)
    assert values["sigma"].shape == (9,)
    assert model.dims["sigma"] == ("maturity",)
    assert model.coords["maturity"].tolist() == list(LABELS)


def test_observed_variables_have_their_labels() -> None:
    every = build(weeks=24)
    assert {name: value.shape for name, value in every.observed.items()} == {
        "price": (9, 24), "short_rate": (24,), "wealth": (24,),
    }  # fmt: skip
    assert every.dims["price"] == ("maturity", "week")
    assert every.coords["week"].tolist() == list(range(1, 25))
    sparse = build(weeks=26, observed="sparse", every=6)
    assert sparse.coords["interval"].tolist() == [6, 12, 18, 24]
    series = simulate.simulate(26)
    np.testing.assert_array_equal(sparse.observed["price"], series.price[[6, 12, 18, 24]])


# Prices measured with error.


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


# States seen seldom.

WILD = OTHER._replace(
    gamma=np.array(40.0),
    sigma=np.full(9, 0.15),
    kappa=np.array(1.2),
    sigma_r=np.array(0.5),
    sigma_w=np.array(0.2),
)
"""So much varies inside an interval of a year that weights differ widely."""
WILD_DATA = {
    "growth": np.random.default_rng(6).normal(0.9, 0.1, (3, 9)),
    "rate": np.array([[0.03, 0.1], [0.1, -0.2], [-0.2, 0.3]]),
    "wealth": np.array([[1.0, 0.9], [0.9, 1.2], [1.2, 1.1]]),
    "span": np.asarray(1.0),
}


def jaxed(theta: Theta) -> Theta:
    return Theta(*map(jnp.asarray, theta))


def rate_chain(theta: Theta, first: float, steps: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of r_1 .. r_steps given r_0, by the powers of the chain written out."""
    decay = 1.0 - theta.kappa * step
    shocks = np.array([[decay ** (i - j) if j <= i else 0.0 for j in range(steps)] for i in range(steps)])
    means = theta.rbar + decay ** np.arange(1, steps + 1) * (first - theta.rbar)
    return means, theta.sigma_r**2 * step * shocks @ shocks.T


def given_last(mean: np.ndarray, covariance: np.ndarray, last: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of all but the last coordinate of a normal, given that one."""
    gain = covariance[:-1, -1] / covariance[-1, -1]
    return mean[:-1] + gain * (last - mean[-1]), covariance[:-1, :-1] - np.outer(gain, covariance[-1, :-1])


def chain_log_density(theta: Theta, path: np.ndarray, step: float) -> float:
    """Of a path of the short rate given its first value."""
    return sum(
        norm.logpdf(b, a + theta.kappa * (theta.rbar - a) * step, theta.sigma_r * np.sqrt(step))
        for a, b in pairwise(path)
    )


@pytest.mark.parametrize("proposal", bridges.PROPOSALS)
def test_bridges_are_the_conditional_normals_and_weights_are_their_ratios(proposal: str) -> None:
    """Paths are linear in u: mean and covariance are read off at 0 and unit vectors. log w + log q = log p, exactly."""
    inner, span, ends = 5, 0.4, np.array([0.03, 0.2])
    step = span / (inner + 1)
    u = np.concatenate([np.zeros((1, inner)), np.eye(inner), np.random.default_rng(7).standard_normal((4, inner))])
    found = bridges.rates(jaxed(WILD), jnp.asarray(u)[None], jnp.asarray(ends)[None], jnp.asarray(span), proposal)
    paths, weights = np.asarray(found.values)[0], np.asarray(found.log_weights)[0]
    # The linear bridge takes rbar off and puts it back: a rounding.
    np.testing.assert_allclose(paths[:, [0, -1]], np.broadcast_to(ends, (len(u), 2)), rtol=1e-15)
    law = WILD if proposal == "linear" else WILD._replace(kappa=np.zeros(()))
    mean, covariance = given_last(*rate_chain(law, ends[0], inner + 1, step), ends[1])
    factor = (paths[1 : inner + 1, 1:-1] - paths[0, 1:-1]).T
    np.testing.assert_allclose(paths[0, 1:-1], mean, atol=1e-12)
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-12)
    for path, weight in zip(paths, weights, strict=True):
        proposed = multivariate_normal(mean, covariance).logpdf(path[1:-1])
        assert weight == pytest.approx(chain_log_density(WILD, path, step) - proposed, abs=1e-9)
    if proposal == "linear":
        means, covariances = rate_chain(WILD, ends[0], inner + 1, step)
        np.testing.assert_allclose(weights, norm.logpdf(ends[1], means[-1], np.sqrt(covariances[-1, -1])), rtol=1e-10)


def two_steps(theta: Theta, k: int) -> float:
    """Density of interval k of WILD_DATA with one latent week, by trapezoids over its rate and wealth.

    Every factor is a normal density of a step, multiplied out; prices of the latent week are integrated by the sum of
    the two steps' variances.
    """
    growth, (r0, r2), (w0, w2) = WILD_DATA["growth"][k], WILD_DATA["rate"][k], WILD_DATA["wealth"][k]
    step = float(WILD_DATA["span"]) / 2
    sd_r, sd_w = step_sds(theta, step)[9:]
    r, w = (np.linspace(-9.0, 9.0, 361) * sd + 0.5 * sum(ends) for sd, ends in ((sd_r, (r0, r2)), (sd_w, (w0, w2))))
    of_rate = norm.pdf(r, r0 + theta.kappa * (theta.rbar - r0) * step, sd_r)
    of_rate *= norm.pdf(r2, r + theta.kappa * (theta.rbar - r) * step, sd_r)
    of_wealth = norm.pdf(w, w0 + theta.omega * step, sd_w) * norm.pdf(w2, w + theta.omega * step, sd_w)
    total = of_rate[:, None] * of_wealth[None]
    first = step_means(theta, np.zeros(9), r0, w0, step)[:9]
    load = theta.gamma * np.sum(theta.sigma * WIDTHS) / 35
    for s in range(9):
        second = (r[:, None] + load * theta.sigma[s] / w[None] - theta.sigma[s] ** 2 / 2) * step
        total = total * norm.pdf(growth[s], first[s] + second, theta.sigma[s] * np.sqrt(2 * step))
    return float(scipy.integrate.trapezoid(scipy.integrate.trapezoid(total, w), r))


@pytest.mark.parametrize("proposal", bridges.PROPOSALS)
def test_the_estimator_against_fine_quadrature_with_one_latent_week(proposal: str) -> None:
    """Its expectation over u by 120 x 120 Gauss-Hermite nodes; and the mean of 40,000 weights, within 5.5 standard
    errors: false alarms below 1e-6 of six."""
    expected = [two_steps(WILD, k) for k in range(3)]
    points, mass = np.polynomial.hermite_e.hermegauss(120)
    nodes = np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1).reshape(-1, 2)
    probability = np.outer(mass, mass).ravel() / mass.sum() ** 2
    weights = np.exp(wild_weights(np.broadcast_to(nodes, (3, *nodes.shape)), proposal))
    np.testing.assert_allclose(weights @ probability, expected, rtol=1e-6)
    drawn = np.exp(wild_weights(np.random.default_rng(8).standard_normal((3, 40_000, 2)), proposal))
    error = drawn.std(axis=1) / np.sqrt(drawn.shape[1])
    assert np.all(error > 0.001 * np.array(expected))
    assert np.all(np.abs(drawn.mean(axis=1) - expected) < 5.5 * error)


def wild_weights(
    u: np.ndarray, proposal: str, theta: Theta = WILD, data: dict[str, np.ndarray] = WILD_DATA
) -> np.ndarray:
    given = jax.tree.map(jnp.asarray, data)
    return np.asarray(bridges.log_weights(jaxed(theta), jnp.asarray(u), given, proposal))


@pytest.mark.parametrize("proposal", bridges.PROPOSALS)
def test_the_estimator_without_a_premium_against_the_closed_form(proposal: str) -> None:
    """With gamma 0 the last rate and all growths are jointly normal, also with five latent weeks; the wealth's density
    is a normal besides. Mean of 40,000 weights, within 5.5 standard errors: false alarms below 1e-6 of six."""
    theta, steps = WILD._replace(gamma=np.zeros(())), 6
    data = WILD_DATA | {"growth": WILD_DATA["growth"] - 0.85}
    span = float(data["span"])
    step = span / steps
    drawn = np.exp(wild_weights(np.random.default_rng(9).standard_normal((3, 40_000, 10)), proposal, theta, data))
    expected = []
    for k in range(3):
        (r0, r1), (w0, w1) = WILD_DATA["rate"][k], WILD_DATA["wealth"][k]
        means, covariance = rate_chain(theta, r0, steps, step)
        # (sum of r_0 .. r_5 times the step, r_6) from r_1 .. r_6.
        take = np.array([[step] * 5 + [0.0], [0.0] * 5 + [1.0]])
        center, spread = take @ means + [step * r0, 0.0], take @ covariance @ take.T
        lift = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
        mean = lift @ center - np.array([*(theta.sigma**2 / 2 * span), 0.0])
        total = lift @ spread @ lift.T + np.diag([*(theta.sigma**2 * span), 0.0])
        density = multivariate_normal(mean, total).pdf([*data["growth"][k], r1])
        expected.append(density * norm.pdf(w1, w0 + theta.omega * span, theta.sigma_w * np.sqrt(span)))
    error = drawn.std(axis=1) / np.sqrt(drawn.shape[1])
    assert np.all(error > 0.001 * np.array(expected))
    assert np.all(np.abs(drawn.mean(axis=1) - expected) < 5.5 * error)


def test_the_pseudo_marginal_model_has_the_estimates_as_its_terms() -> None:
    """And with the published parameters 16 samples leave little noise: together the 26 estimates have a log of sd
    below .2, as the delta method has it (u is fixed; .08 was found)."""
    model = build(weeks=104, observed="sparse", every=4, samples=16)
    data = jax.tree.map(jnp.asarray, model.data)
    start = model.target.initial(jax.random.key(1), data) | position()
    assert start["u"].shape == (26, 16, 6)
    terms = jax.jit(model.target.log_terms)(start, data)
    check_priors({name: np.asarray(terms[name]) for name in POSITION})
    seen = jax.tree.map(jnp.asarray, intervals(simulate.simulate(104), 4))
    estimate = jax.jit(bridges.log_weights)
    weights = estimate(jaxed(natural()), start["u"], seen)
    expected = np.log(np.mean(np.exp(np.asarray(weights)), axis=1))
    np.testing.assert_allclose(terms["estimate"], expected, rtol=1e-9)
    logs = estimate(jaxed(TRUE), start["u"], data)
    assert np.sqrt(np.sum(np.var(np.asarray(logs), axis=1) / 16)) < 0.2


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"weeks": 19}, "weeks = 19; allowed is a whole number from 20"),
        ({"weeks": 52.0}, "weeks = 52.0"),
        ({"weeks": True}, "weeks = True"),
        ({"observed": "some"}, "allowed are all, noisy, sparse"),
        ({"error": 0}, "error = 0; allowed is a number above 0"),
        ({"error": "small"}, "error = 'small'"),
        ({"error": float("nan")}, "error = nan"),
        ({"every": 1}, "every = 1; allowed is a whole number from 2"),
        ({"every": 20, "weeks": 30}, "needed are two intervals or more"),
        ({"samples": 0}, "samples = 0"),
        ({"proposal": "free"}, "allowed are linear and brownian"),
    ],
)
def test_settings_that_make_no_model_are_refused(keys: dict[str, object], part: str) -> None:
    with pytest.raises(ModelError) as caught:
        build(**keys)
    assert part in str(caught.value)


# Why the curve is flat.


def draws_of(theta: Theta, number: int = 3) -> Theta:
    return Theta(*(np.broadcast_to(part, (number, *np.shape(part))).astype(float) for part in theta))


def test_the_slope_against_integrals_along_the_expected_paths() -> None:
    theta, rate, wealth = OTHER._replace(omega=np.array(0.04)), 0.07, 1.7
    load = theta.gamma * np.sum(theta.sigma * WIDTHS) / 35

    def expected(k: int) -> float:
        def return_at(s: float) -> float:
            short = theta.rbar + (rate - theta.rbar) * np.exp(-theta.kappa * s)
            return float(short + load * theta.sigma[k] / (wealth + theta.omega * s))

        return scipy.integrate.quad(return_at, 0.0, MATURITIES[k])[0] / MATURITIES[k]

    assert slope(draws_of(theta), rate, wealth)[0] == pytest.approx(expected(8) - expected(0), rel=1e-8)


def test_shares_sum_to_the_slope_and_absent_explanations_have_none() -> None:
    rng = np.random.default_rng(10)
    spread = [np.exp(0.5 * rng.standard_normal((50, *np.shape(part)))) for part in TRUE]
    theta = Theta(*(part * by for part, by in zip(draws_of(TRUE, 50), spread, strict=True)))
    found = explained(theta, 0.05, 2.0)
    total = sum(found.parts.values())
    np.testing.assert_allclose(total, found.slope - found.neutral, atol=1e-14)
    assert sum(found.support.values()) == pytest.approx(1.0)
    for name in EXPLANATIONS:
        alone = without(theta, frozenset(EXPLANATIONS) - {name})
        parts = shares(alone, 0.05, 2.0)
        for other, part in parts.items():
            expected = slope(alone, 0.05, 2.0) - found.neutral if other == name else 0.0
            np.testing.assert_allclose(part, expected, atol=1e-15)


FLAT = {
    "kappa and rbar": {"kappa": 0.5, "rbar": -0.05},
    "low sigma": {"sigma": 0.3 * TRUTH["sigma"]},
    "omega": {"omega": 0.5},
    "gamma": {"gamma": 0.2},
}


@pytest.mark.parametrize("name", FLAT)
def test_what_flattens_a_curve_is_found(name: str) -> None:
    changed = TRUE._replace(**{field: np.asarray(value) for field, value in FLAT[name].items()})
    found = explained(draws_of(changed), 0.03, 1.0)
    assert found.support[name] == 1.0
    assert np.all(found.slope < 0.75 * found.neutral)


def test_the_published_curve_is_flattened_by_growing_wealth_alone() -> None:
    """At W = 1 the slope with none is (sigma^30y - sigma^3m) sum X sigma Delta; omega divides by log(2.5) / 1.5."""
    found = explained(draws_of(TRUE), 0.03, 1.0)
    load = np.sum(TRUTH["sigma"] * WIDTHS) / 35
    assert found.neutral == pytest.approx((TRUTH["sigma"][-1] - TRUTH["sigma"][0]) * load, rel=1e-12)
    long, short = TRUTH["sigma"][-1] * np.log(2.5) / 1.5, TRUTH["sigma"][0] * np.log(1.0125) / 0.0125
    np.testing.assert_allclose(found.slope, (long - short) * load, rtol=1e-12)
    assert found.support["omega"] == 1.0
    still = explained(draws_of(TRUE._replace(omega=np.zeros(()))), 0.03, 1.0)
    assert still.support[NONE] == 1.0


def test_draws_whose_wealth_runs_out_are_left_out() -> None:
    theta = draws_of(TRUE)._replace(omega=np.array([0.05, -0.04, 0.0]))
    found = explained(theta, 0.03, 1.0)
    assert (found.slope.size, found.left_out) == (2, 1)
    for wealth in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="wealth is"):
            explained(theta, 0.03, wealth)
    with pytest.raises(ValueError, match="stay above 0 for 30 years"):
        explained(theta._replace(omega=np.full(3, -1.0)), 0.03, 1.0)


@pytest.mark.parametrize("known", [True, False])
def test_the_report_of_a_run(known: bool) -> None:
    series = simulate.simulate(104)
    rng = np.random.default_rng(11)
    posterior = {
        name: (
            ("chain", "draw", "maturity")[: value.ndim + 2],
            value * np.exp(0.1 * rng.standard_normal((4, 25, *value.shape))),
        )
        for name, value in TRUTH.items()
    }
    rate = series.rate[4::4] + (0.0 if known else 0.001)
    observed = {"short_rate": ("interval", rate), "wealth": ("interval", series.wealth[4::4])}
    data = {
        "posterior": xarray.Dataset(posterior),
        "observed_data": xarray.Dataset(observed, coords={"interval": np.arange(4, 105, 4)}),
    }
    written = report.lines(SimpleNamespace(data=lambda: data))
    assert written[0] == "Bonds, the short rate and wealth (100 draws)"
    row = next(line for line in written if line.startswith("  sigma 30y"))
    assert row.endswith("0.214" if known else "-")
    assert sum(line.startswith(tuple(f"  {name} " for name in EXPLANATIONS)) for line in written) >= 4
    assert f"wealth {series.wealth[-1]:.2f}" in "\n".join(written)
    assert written[-1].startswith("  What flattens it most is ")


def test_the_report_without_a_curve() -> None:
    written = list(report.explanations(draws_of(TRUE), 0.03, -0.5))
    assert written == [
        "Why is the curve flat? There is no curve: wealth is -0.5, and must be and stay above 0 for 30 years."
    ]
