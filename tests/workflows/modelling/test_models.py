"""The registry, users' models by module:function, fingerprints, and the shipped models."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from workflows.modelling.model import (
    ModelError,
    available,
    build,
    compare_fingerprints,
    fingerprint,
    require_same,
)
from workflows.models.airway.dataset import load
from workflows.models.airway.negative_binomial import NegativeBinomial, count_constant, log_probability
from workflows.models.scorpio import model as scorpio

GENES = 30

USERS = """
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers
from maxwell import function_model, numpyro_model

Y = np.arange(4.0)


def coin(y, scale=1.0):
    mu = numpyro.sample("mu", dist.Normal(0.0, scale))
    with numpyro.plate("row", 4):
        numpyro.sample("obs", dist.Normal(mu, 1.0), obs=y)


def builder(shift=0.0):
    return numpyro_model(coin, {"y": Y + shift})


def builder_that_simulates():
    with handlers.seed(rng_seed=0):
        y = numpyro.sample("y", dist.Normal().expand([4]))
    return numpyro_model(coin, {"y": y})


def bare(scale=2.0):
    with handlers.scale(scale=1.0):
        coin(Y, scale)


def plain():
    return function_model(lambda position, data: -position["x"] ** 2, {"x": ()})


def nothing():
    return 3
"""


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_models.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_listing_names_the_shipped_models() -> None:
    assert {"airway", "scorpio"} <= set(available())
    assert all(line and "\n" not in line for line in available().values())


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("function", ["builder", "builder_that_simulates", "bare", "plain"])
def test_users_functions_are_found_and_built(function: str) -> None:
    model = build(f"users_models:{function}", {})
    assert model.name == f"users_models:{function}"
    start = model.target.initial(jax.random.key(0), model.data)
    assert all(jnp.isfinite(term).all() for term in model.target.log_terms(start, model.data).values())
    assert set(model.target.sites) == ({"x"} if function == "plain" else {"mu"})


@pytest.mark.usefixtures("users")
def test_settings_reach_users_functions() -> None:
    np.testing.assert_array_equal(build("users_models:builder", {"shift": 2.0}).data["y"], np.arange(4.0) + 2.0)
    model = build("users_models:coin", {"y": [1.0, 2.0, 3.0, 4.0], "scale": 3.0})
    np.testing.assert_array_equal(model.data["y"], [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(model.observed["obs"], [1.0, 2.0, 3.0, 4.0])


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("airways", {}, r"no model is called 'airways': choose one of airway, .*scorpio, or .* module:function"),
        ("airway", {"gene": 3}, r"does not take gene; its settings are: genes = 'all', cells = False"),
        ("airway", {"genes": 0}, r"genes = 0: choose between 1 and 22369"),
        ("airway", {"genes": "some"}, r'genes = \'some\'; allowed are "all"'),
        ("airway", {"genes": 5, "cells": 1}, r"cells = 1; allowed are true and false"),
        ("scorpio", {"copies": 0}, r"copies = 0; allowed"),
        ("no_such_module:f", {}, r"no module 'no_such_module' in .* PYTHONPATH"),
        ("users_models:nobody", {}, r"users_models has no function 'nobody'; it has bare, builder"),
        ("users_models:nothing", {}, r"returned int: return a Model"),
        ("users_models:coin", {}, r"needs y; its settings are: y, scale = 1.0"),
    ],
)
def test_wrong_names_and_settings_are_refused(name: str, keys: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(name, keys)


@pytest.mark.usefixtures("users")
def test_fingerprints_are_equal_for_the_same_model_and_name_what_differs() -> None:
    model = build("users_models:builder", {})
    recorded = json.loads(json.dumps(fingerprint(model)))
    assert compare_fingerprints(recorded, fingerprint(build("users_models:builder", {}))) == []
    require_same(recorded, model)
    other = build("users_models:builder", {"shift": 1e-9})
    differences = compare_fingerprints(recorded, fingerprint(other))
    assert any(line.startswith("data.['y'].sha256") for line in differences)
    with pytest.raises(ModelError, match=r"is not the one that was recorded: .*start a new run"):
        require_same(recorded, other)
    assert compare_fingerprints(recorded, fingerprint(build("users_models:plain", {})))


def test_terms_in_fingerprints_may_differ_by_rounding_only() -> None:
    single = {"terms": {"x": 1.0, "y": 1.0}, "single": ["y"]}
    assert compare_fingerprints(single, single | {"terms": {"x": 1.0, "y": 1.0 + 1e-6}}) == []
    assert len(compare_fingerprints(single, single | {"terms": {"x": 1.0 + 1e-6, "y": 1.0 + 1e-3}})) == 2
    recorded = {"terms": {"y": -100.0}}
    assert compare_fingerprints(recorded, {"terms": {"y": -100.0 * (1 + 5e-11)}}) == []
    assert len(compare_fingerprints(recorded, {"terms": {"y": -100.0 * (1 + 2e-10)}})) == 1
    assert compare_fingerprints(recorded, {"terms": {}}) == ["terms.y was recorded and is gone"]


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


@pytest.mark.parametrize("cells", [False, True])
def test_airway_terms_against_scipy(cells: bool) -> None:
    model = build("airway", {"genes": GENES, "cells": cells})
    assert model.target.dimension == 5 + 3 * GENES + cells * (1 + 3 * GENES)
    position = jax.jit(model.target.initial)(jax.random.key(3), model.data)
    p = {name: np.asarray(value) for name, value in position.items()}
    terms = {name: np.asarray(value) for name, value in jax.jit(model.target.log_terms)(position, model.data).items()}
    data, normal = load(GENES), scipy.stats.norm.logpdf
    eta = data.library[:, None] + p["a"] + p["d"] * data.treated[:, None]
    if cells:
        for k, line in enumerate(("N061011", "N61311", "N080611")):
            eta = eta + (data.cell_lines == line)[:, None] * p["c"][:, k]
        sd_c = np.exp(p["sd_c"])
        np.testing.assert_allclose(terms["c"], normal(p["c"], 0.0, sd_c).sum(axis=1), rtol=1e-12)
        np.testing.assert_allclose(terms["sd_c"], scipy.stats.halfnorm.logpdf(sd_c) + p["sd_c"], rtol=1e-12)
    r, mu = np.exp(-p["phi"]), np.exp(eta)
    np.testing.assert_allclose(
        terms["y"], scipy.stats.nbinom.logpmf(data.counts, r, r / (r + mu)), rtol=1e-7, atol=1e-9
    )
    np.testing.assert_allclose(terms["a"], normal(p["a"], p["mu_a"], np.exp(p["sd_a"])), rtol=1e-12)
    np.testing.assert_allclose(terms["d"], normal(p["d"], 0.0, np.exp(p["sd_d"])), rtol=1e-12)
    np.testing.assert_allclose(terms["phi"], normal(p["phi"], p["mu_p"], np.exp(p["sd_p"])), rtol=1e-10, atol=1e-12)
    for name, value in (("mu_a", normal(p["mu_a"], 4, 5)), ("mu_p", normal(p["mu_p"], -2, 2))):
        assert float(terms[name]) == pytest.approx(value, rel=1e-12)
    for name, scale in (("sd_a", 5.0), ("sd_d", 1.0), ("sd_p", 1.0)):
        expected = scipy.stats.halfnorm.logpdf(np.exp(p[name]), scale=scale) + p[name]
        assert float(terms[name]) == pytest.approx(expected, rel=1e-12)


def test_airway_names_and_groups() -> None:
    model = build("airway", {"genes": GENES, "cells": True})
    assert model.dims["c"] == ("gene", "cell")
    assert model.dims["y"] == ("sample", "gene")
    assert model.dims["phi"] == ("gene",)
    assert list(model.coords["cell"]) == ["N061011", "N61311", "N080611"]
    assert len(model.coords["gene"]) == GENES
    np.testing.assert_array_equal(model.observed["y"], load(GENES).counts)
    assert model.dims["library"] == ("sample",)
    variables = model.target.constrain(model.target.initial(jax.random.key(0), model.data), model.data)
    assert bool(jnp.all(variables["phi"] > 0))
    assert model.target.term_kinds["y"] == "likelihood"


def test_scorpio_density_is_the_mixture_and_holds_far_away() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([scorpio.exact_draws(rng, 200), [[400.0, -300.0]]])
    parts = [
        np.log(w) + scipy.stats.norm.logpdf(points, m, s).sum(axis=1)
        for w, m, s in zip(scorpio.WEIGHTS, scorpio.MEANS, scorpio.SDS, strict=True)
    ]
    expected = scipy.special.logsumexp(parts, axis=0)
    model = build("scorpio", {"copies": 201})
    position = {"x": jnp.asarray(points[:, 0]), "y": jnp.asarray(points[:, 1])}
    np.testing.assert_allclose(model.target.log_terms(position, {})["scorpio"], expected, rtol=1e-12)


def test_scorpio_responsibilities_of_exact_draws_average_to_the_weights() -> None:
    """100,000 draws, 5 standard errors of a fraction each: false alarms below 6e-7 a component."""
    draws = scorpio.exact_draws(np.random.default_rng(1), 100_000)
    masses = np.asarray(scorpio.responsibilities(jnp.asarray(draws[:, 0]), jnp.asarray(draws[:, 1])).mean(axis=1))
    error = np.sqrt(scorpio.WEIGHTS * (1 - scorpio.WEIGHTS) / len(draws))
    assert np.all(np.abs(masses - scorpio.WEIGHTS) < 5 * error)


def test_scorpio_starts_in_the_body() -> None:
    """4,000 starts: body responsibility is above .9 on average for certain (its mean under the body is .99)."""
    model = build("scorpio", {"copies": 4000})
    start = model.target.initial(jax.random.key(0), model.data)
    assert float(scorpio.responsibilities(start["x"], start["y"])[0].mean()) > 0.9
    assert model.target.sites["x"].plates == ("copy",)
