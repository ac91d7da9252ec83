"""Statistics of the fit of shipped models, on prior draws and outcomes under them, by plain NumPy and SciPy."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from workflows.modelling.checks import Check
from workflows.modelling.model import Model
from workflows.modelling.registry import build
from workflows.models.bond.published import DT, LABELS, SHARES
from workflows.models.rri.curve import Curve, mean

SMALL: dict[str, dict[str, Any]] = {
    "airway": {"genes": 60, "cells": True},
    "alcohol": {"people": 300},
    "bond": {"weeks": 60},
    "bond noisy": {"weeks": 60, "observed": "noisy"},
    "bond sparse": {"weeks": 60, "observed": "sparse", "samples": 2},
    "census": {"areas": 40},
    "genes": {"counts": "airway", "design": "~ cell + dex", "genes": 60},
    "glmm": {"individuals": 40, "samples": 2},
    "rri": {"observations": 60},
    "rri varying": {"observations": 60, "noise": "varying"},
    "rri of several": {"observations": 60, "subjects": 3},
    "schools": {},
}


@cache
def drawn(name: str) -> tuple[Model, dict[str, jax.Array], dict[str, jax.Array]]:
    """A model, the values of a prior draw, and outcomes under them."""
    model = build(name.split()[0], SMALL[name])
    assert model.generative is not None
    data = jax.tree.map(jnp.asarray, model.data)
    values, outcomes = jax.jit(model.generative.prior)(jax.random.key(1), data)
    return model, {k: jnp.asarray(x, float) for k, x in values.items()}, outcomes


def statistics(name: str) -> dict[str, np.ndarray]:
    """By family, the statistics of the outcomes."""
    model, values, outcomes = drawn(name)
    data = jax.tree.map(jnp.asarray, model.data)
    return {
        check.family.name: np.ravel(jax.jit(check.statistic)(dict(outcomes), values, data)) for check in model.checks
    }


def plain(name: str) -> tuple[Model, dict[str, np.ndarray], dict[str, np.ndarray]]:
    model, values, outcomes = drawn(name)
    return model, *({k: np.asarray(x) for k, x in found.items()} for found in (values, outcomes))


@pytest.mark.parametrize("name", SMALL)
def test_every_shipped_model_with_data_has_checks_that_fit_their_labels(name: str) -> None:
    model, values, outcomes = drawn(name)
    data = jax.tree.map(jnp.asarray, model.data)
    assert model.checks or name == "schools"
    names = [check.family.name for check in model.checks]
    assert len(set(names)) == len(names)
    for check in model.checks:
        k = len(check.family.labels)
        assert np.ravel(check.statistic(dict(outcomes), values, data)).shape == (k,)
        assert check.statistic({n: jnp.asarray(x) for n, x in model.observed.items()}, values, data).size == k
        assert np.broadcast_to(check.family.matters, k).min() > 0.0


@pytest.mark.parametrize("name", SMALL)
def test_predictions_have_the_form_of_the_data(name: str) -> None:
    model, _, outcomes = drawn(name)
    assert {n: x.shape for n, x in outcomes.items()} == {n: x.shape for n, x in model.observed.items()}


@pytest.mark.parametrize(("name", "site"), [("genes", "counts"), ("airway", "y")])
def test_counts_by_expression(name: str, site: str) -> None:
    model, values, outcomes = plain(name)
    y, data = outcomes[site].astype(float), model.data
    found = statistics(name)
    if name == "genes":
        size = np.exp(data["log_size"])
        rate = np.exp(values["intercept"] + data["rows"] @ values["effect"].T)
        mu, dispersion = size[:, None] * rate, values["dispersion"]
    else:
        size = np.exp(data["library"][:, 0])
        log_rate = values["a"] + data["treated"] * values["d"] + data["cell"] @ values["c"].T
        mu, dispersion = size[:, None] * np.exp(log_rate), values["phi"]
    levels = (model.observed[site] / size[:, None]).mean(axis=0)
    order = np.argsort(levels)
    tenths, thirds = (np.array_split(order, n) for n in (10, 3))
    np.testing.assert_allclose(found["zeros by mean count"], [(y[:, genes] == 0).mean() for genes in tenths])
    # Mean and variance of a negative binomial of that mean and dispersion.
    law = scipy.stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mu))
    pearson = (y - law.mean()) ** 2 / law.var()
    expected = [pearson[:, genes].mean() for genes in thirds]
    np.testing.assert_allclose(found["residual variance by mean count"], expected, rtol=1e-6)
    scaled = y / size[:, None]
    own = scaled.mean(axis=0)
    spread = [[(scaled < own / 2)[:, genes].mean(), (scaled > 2 * own)[:, genes].mean()] for genes in thirds]
    np.testing.assert_allclose(found["counts about their gene's mean"], np.ravel(spread))


def test_census_quantiles_by_state() -> None:
    model, values, outcomes = plain("census")
    expected = np.sum(model.data["covariates"].T * values["coefficients"][model.data["area"]], axis=1)
    residual = (outcomes["y"] - expected) / values["sigma"]
    found = statistics("census")
    levels = [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999]
    np.testing.assert_allclose(found["quantiles of the residuals"], np.quantile(residual, levels), rtol=1e-9)
    state = model.data["state"][model.data["area"]]
    for level, name in ((0.05, "5%"), (0.5, "50%"), (0.95, "95%")):
        expected = [np.quantile(residual[state == s], level, method="nearest") for s in np.unique(state)]
        got = found[f"{name} quantile of the residuals by state"]
        # Ties between two places are broken either way.
        close = np.isclose(got, expected)
        assert close.mean() > 0.8
        for s in np.flatnonzero(~close):
            rank = (residual[state == np.unique(state)[s]] < got[s]).sum()
            assert abs(rank - level * ((state == np.unique(state)[s]).sum() - 1)) <= 0.5 + 1e-9


def test_alcohol_shares_and_groups() -> None:
    model, _, outcomes = plain("alcohol")
    y, found = outcomes["y"], statistics("alcohol")
    expected = [(y == k).mean() for k in range(1, 31)] + [(y > 30).mean()]
    np.testing.assert_allclose(found["shares of each count"], expected)
    answered = model.data["answered"]
    sex, age = (model.constant[f"{group}_of_person"][answered] for group in ("sex", "age"))
    cells = [(s, a) for s in range(2) for a in range(14) if ((sex == s) & (age == a)).any()]
    for name, inside in (("a single drink", y == 1), ("5 drinks or more", y >= 5)):
        (got,) = (x for family, x in found.items() if family.startswith(name))
        np.testing.assert_allclose(got, [inside[(sex == s) & (age == a)].mean() for s, a in cells])


def test_new_people_of_alcohol_do_not_keep_their_own_deviations() -> None:
    """Deviations of 3 in the draw and an sd of 1e-3: everybody is as their group expects, 1 + exp(.5) drinks, and not
    1 + exp(3.5). 200 x 300 Poisson counts reported exactly: 6 standard errors."""
    model, values, _ = drawn("alcohol")
    people = values["deviation"].size
    values = values | {
        "deviation": jnp.full(people, 3.0),
        "propensity": jnp.full(people, 3.5),
        "sd_person": jnp.asarray(1e-3),
        "reporting": jnp.asarray([1.0, 0.0, 0.0, 0.0]),
    }
    check: Check = model.checks[0]
    assert check.replicate is not None
    data = jax.tree.map(jnp.asarray, model.data)
    found = jax.vmap(lambda key: check.replicate(key, values, data)["y"])(jax.random.split(jax.random.key(0), 200))  # type: ignore[misc]
    rate = np.exp(0.5)
    assert abs(float(found.mean()) - 1 - rate) < 6 * np.sqrt(rate / found.size) + 1e-3 * rate


@pytest.mark.parametrize("name", ["rri", "rri varying", "rri of several"])
def test_rri_residuals(name: str) -> None:
    model, values, outcomes = plain(name)
    names = ("alpha", "beta", "c", "lambda", "phi", "tau", "delta")
    t, found = model.data["t"], statistics(name)
    center = np.asarray(mean(Curve(*(values[n] for n in names)), t))
    if name == "rri varying":
        noise = np.asarray(mean(Curve(*(values[f"sigma_{n}"] for n in names)), t))
        floor = 0.01 * model.data["spread"]
        sigma = floor * np.logaddexp(0.0, noise / floor)
    else:
        sigma = values["sigma"]
    residual = ((outcomes["y"] - center) / sigma).reshape(60, -1)
    square = residual**2
    correlations = [
        np.mean((residual[lag:] * residual[:-lag]).sum(axis=0) / square.sum(axis=0)) for lag in range(1, 11)
    ]
    np.testing.assert_allclose(found["autocorrelation of the residuals"], correlations, rtol=1e-6, atol=1e-9)
    parts = [square[10 * k : 10 * k + 10].mean() for k in range(6)]
    np.testing.assert_allclose(found["variance of the residuals in time"], parts, rtol=1e-6)


def test_bond_changes_of_every_week() -> None:
    model, values, outcomes = plain("bond")
    v, data = values, model.data
    exposure = (v["sigma"] * SHARES).sum()
    rate, wealth = data["rate"][:-1], data["wealth"][:-1]
    drift = rate + v["gamma"] * exposure * v["sigma"][:, None] / wealth - v["sigma"][:, None] ** 2 / 2
    z = [*((outcomes["price"] - data["price"][:, :-1] - drift * DT) / (v["sigma"][:, None] * np.sqrt(DT)))]
    z.append((outcomes["short_rate"] - rate - v["kappa"] * (v["rbar"] - rate) * DT) / (v["sigma_r"] * np.sqrt(DT)))
    z.append((outcomes["wealth"] - wealth - v["omega"] * DT) / (v["sigma_w"] * np.sqrt(DT)))
    found = statistics("bond")
    np.testing.assert_allclose(found["variance of the changes"], [np.mean(x**2) for x in z], rtol=1e-6)
    expected = [np.sum(x[1:] * x[:-1]) / np.sum(x**2) for x in z]
    np.testing.assert_allclose(found["autocorrelation of the changes"], expected, rtol=1e-6)
    noisy = statistics("bond noisy")
    assert noisy["variance of the changes"].size == 2


def test_bond_states_seen_seldom_follow_the_euler_steps() -> None:
    """2,000 predictions of 15 intervals under one draw: standardised changes have the variance 1, within 6 standard
    errors sqrt(2 / n) each; prices, whose drift moves within an interval, within 2% more."""
    model, values, _ = drawn("bond sparse")
    assert model.generative is not None
    predict = model.generative.predict
    data = jax.tree.map(jnp.asarray, model.data)
    keys = jax.random.split(jax.random.key(0), 2000)
    variance = next(check for check in model.checks if check.family.name == "variance of the changes").statistic
    calm = values | {"gamma": jnp.asarray(1.0), "sigma": jnp.asarray(0.01 * np.arange(1.0, 10.0))}
    calm |= {"kappa": jnp.asarray(0.3), "sigma_r": jnp.asarray(0.01), "sigma_w": jnp.asarray(0.02)}
    found = jax.jit(lambda keys: jax.lax.map(lambda key: variance(predict(key, calm, data), calm, data), keys))(keys)
    n = 2000 * len(model.data["growth"])
    np.testing.assert_allclose(np.mean(found, axis=0)[len(LABELS) :], 1.0, atol=6 * np.sqrt(2 / n))
    np.testing.assert_allclose(np.mean(found, axis=0)[: len(LABELS)], 1.0, atol=6 * np.sqrt(2 / n) + 0.02)


def test_glmm_responses_of_new_individuals() -> None:
    """Shares by number of positive responses; and 2,000 predictions: the probability of a positive response of each
    covariate by integration over both components, 6 standard errors."""
    model, _, outcomes = drawn("glmm")
    positive = np.asarray(outcomes["y"]).sum(axis=1)
    expected = [(positive == k).mean() for k in range(7)]
    np.testing.assert_allclose(statistics("glmm")["positive responses of an individual"], expected)
    assert model.generative is not None
    predict = model.generative.predict
    theta = {
        "b": jnp.asarray(np.linspace(-1, 1, 8)),
        "mu": jnp.asarray([0.0, 3.0]),
        "log_l": jnp.log(jnp.asarray([10.0, 3.0])),
        "logit_w": jnp.asarray(np.log(4.0)),
    }
    data = jax.tree.map(jnp.asarray, model.data)
    keys = jax.random.split(jax.random.key(0), 2000)
    share = np.mean(jax.jit(lambda keys: jax.lax.map(lambda key: predict(key, theta, data)["y"], keys))(keys), axis=0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    fixed = (model.data["z"] * np.linspace(-1, 1, 8)).sum(axis=-1)
    expected = sum(
        w * (scipy.special.expit(fixed[..., None] + m + nodes / np.sqrt(precision)) @ (weights / weights.sum()))
        for w, m, precision in ((0.8, 0.0, 10.0), (0.2, 3.0, 3.0))
    )
    assert np.all(np.abs(share - expected) < 6 * np.sqrt(expected * (1 - expected) / 2000))
