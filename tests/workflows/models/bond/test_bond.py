"""The bond model: its weeks, its densities, its settings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from tests.support.models.bond_equations import (
    OTHER,
    POSITION,
    TRUE,
    check_priors,
    gradient_is_finite,
    natural,
    plain_path,
    standardised,
    step_means,
    step_sds,
    terms_of,
)
from workflows.modelling.errors import ModelError
from workflows.models.bond import simulate
from workflows.models.bond.dynamics import Theta
from workflows.models.bond.model import build
from workflows.models.bond.published import DT, LABELS, TRUTH, WIDTHS


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
