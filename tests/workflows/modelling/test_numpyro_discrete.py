"""Discrete latent sites: terms against NumPyro's own potential and sums by hand, draws against Bayes' rule."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.infer.util import initialize_model
from scipy.special import logsumexp
from scipy.stats import norm

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model

Y = np.array([-1.0, 0.2, 3.0, 2.5, -0.4, 5.0])
SHARED = {"enumerate": "parallel"}
LABELS = np.array([0, 1, 1, 0, 1, 1])


def assignments(y):
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.ones(3)))
    with numpyro.plate("part", 3):
        mu = numpyro.sample("mu", dist.Normal(0.0, 3.0))
    with numpyro.plate("row", 6):
        z = numpyro.sample("z", dist.Categorical(weights), infer={"enumerate": "parallel"})
        numpyro.deterministic("centre", mu[z])
        numpyro.sample("y", dist.Normal(mu[z], 1.0), obs=y)


def one_switch(y):
    mu = numpyro.sample("mu", dist.Normal())
    z = numpyro.sample("z", dist.Bernoulli(0.3), infer={"enumerate": "parallel"})
    with numpyro.plate("row", 6):
        numpyro.sample("y", dist.Normal(mu + 2.0 * z, 1.0), obs=y)


def groups_with_rows(y):
    p = numpyro.sample("p", dist.Beta(1.0, 1.0))
    rows, groups = numpyro.plate("row", 3, dim=-2), numpyro.plate("group", 2, dim=-1)
    with groups:
        z = numpyro.sample("z", dist.Bernoulli(p), infer={"enumerate": "parallel"})
        with rows:
            numpyro.sample("y", dist.Normal(3.0 * z, 1.0), obs=y.reshape(3, 2))


def two_kinds(y):
    a = numpyro.sample("a", dist.HalfNormal(1.0))
    with numpyro.plate("row", 6):
        outlier = numpyro.sample("outlier", dist.Bernoulli(0.1), infer={"enumerate": "parallel"})
        sort = numpyro.sample("sort", dist.Categorical(jnp.array([0.2, 0.5, 0.3])), infer={"enumerate": "parallel"})
        numpyro.sample("y", dist.Normal(a * sort, 1.0 + 9.0 * outlier), obs=y)
        numpyro.sample("label", dist.Bernoulli(0.2 + 0.3 * sort), obs=LABELS)


def latent_beneath(y):
    with numpyro.plate("row", 6):
        z = numpyro.sample("z", dist.Bernoulli(0.4), infer={"enumerate": "parallel"})
        x = numpyro.sample("x", dist.LogNormal(1.0 * z, 1.0))
        numpyro.sample("y", dist.Normal(x, 1.0), obs=y)


def one_switch_in_scopes(y):
    mu = numpyro.sample("mu", dist.Normal())
    with handlers.scope(prefix="part"):
        z = numpyro.sample("z", dist.Bernoulli(0.3), infer=SHARED)
        with numpyro.plate("row", 6), handlers.mask(mask=y > 0):
            w = numpyro.sample("w", dist.Bernoulli(0.4), infer=SHARED)
            numpyro.sample("y", dist.Normal(mu + 2.0 * z + w, 1.0), obs=y)


def unmarked(y):
    mu = numpyro.sample("mu", dist.Normal())
    with numpyro.plate("row", 6):
        n = numpyro.sample("n", dist.Binomial(4, 0.3))
        numpyro.sample("y", dist.Normal(mu + n, 1.0), obs=y)


def hidden_markov(y):
    sd = numpyro.sample("sd", dist.HalfNormal(1.0))
    stay = numpyro.sample("stay", dist.Beta(2.0, 2.0))

    def step(previous, y_t):
        p = jnp.where(previous == 1, stay, 1.0 - stay)
        state = numpyro.sample("state", dist.Bernoulli(p), infer={"enumerate": "parallel"})
        numpyro.sample("y", dist.Normal(2.0 * state, sd), obs=y_t)
        return state, None

    scan(step, 0, y)


LIKELIHOOD = {
    assignments: {"y": (6,)},
    one_switch: {"y": ()},
    groups_with_rows: {"y": (2,)},
    two_kinds: {"y": (6,)},
    latent_beneath: {"y": (6,)},
    unmarked: {"y": (6,)},
    hidden_markov: {"y": ()},
}
"""Model -> shapes of its likelihood terms."""


@pytest.fixture
def funsor():
    return pytest.importorskip("funsor")


@pytest.mark.filterwarnings("ignore:Some algorithms will automatically enumerate:FutureWarning")
@pytest.mark.parametrize("function", LIKELIHOOD, ids=lambda function: function.__name__)
def test_terms_add_up_to_numpyros_potential(function, funsor) -> None:
    model = numpyro_model(function, {"y": Y})
    potential = initialize_model(jax.random.key(0), function, model_kwargs={"y": Y}).potential_fn
    compiled = jax.jit(lambda position, data: (model.target.log_terms(position, data), potential(position)))
    rng = np.random.default_rng(1)
    for _ in range(3):
        position = {name: rng.normal(size=site.shape) for name, site in model.target.sites.items()}
        terms, energy = compiled(position, model.data)
        np.testing.assert_allclose(sum(np.sum(term) for term in terms.values()), -energy, rtol=1e-12)
    kinds = model.target.term_kinds
    assert terms.keys() == kinds.keys()
    assert {name: terms[name].shape for name, kind in kinds.items() if kind == "likelihood"} == LIKELIHOOD[function]


def test_assignments_are_summed_out_row_by_row(funsor) -> None:
    model = numpyro_model(assignments, {"y": Y})
    mu = np.array([-1.0, 0.5, 3.0])
    position = {"weights": np.array([0.3, -0.2]), "mu": mu}
    values = model.target.constrain(position, model.data)
    expected = logsumexp(np.log(values["weights"]) + norm.logpdf(Y[:, None], mu, 1.0), axis=1)
    np.testing.assert_allclose(model.target.log_terms(position, model.data)["y"], expected, rtol=1e-12)
    np.testing.assert_allclose(model.generative.log_likelihood(values, model.data)["y"], expected, rtol=1e-6)
    assert set(values) == {"weights", "mu"}
    assert model.dims["z"] == model.dims["centre"] == ("row",)


def test_scopes_masks_and_a_shared_dictionary_change_no_sum(funsor) -> None:
    """NumPyro's own potential refuses plates in a scope. A masked w has two values of weight one: log 2 a row."""
    model = numpyro_model(one_switch_in_scopes, {"y": Y})
    terms = jax.jit(model.target.log_terms)({"mu": 0.5}, model.data)
    z, w = np.arange(2)[:, None, None], np.arange(2)[:, None]
    row = logsumexp(np.log([0.6, 0.4])[:, None] + norm.logpdf(Y, 0.5 + 2.0 * z + w), axis=1)
    expected = logsumexp(np.log([0.7, 0.3]) + np.where(Y > 0, row, np.log(2.0)).sum(1))
    np.testing.assert_allclose(terms["part.y"], expected, rtol=1e-12)
    assert model.dims["part.w"] == ("part.row",)


def test_assignments_are_drawn_by_bayes_rule(funsor) -> None:
    """8,000 draws; 18 frequencies within 6 standard errors: false alarms below 18 * 2e-9 (binomial, near normal)."""
    model = numpyro_model(assignments, {"y": Y})
    values = {"weights": np.array([0.5, 0.3, 0.2]), "mu": np.array([-1.0, 1.5, 3.0])}
    keys = jax.random.split(jax.random.key(0), 8000)
    drawn = jax.jit(jax.vmap(model.generative.discrete, (0, None, None)))(keys, values, model.data)
    joint = values["weights"] * norm.pdf(Y[:, None], values["mu"], 1.0)
    p = joint / joint.sum(1, keepdims=True)
    frequency = (np.asarray(drawn["z"])[..., None] == np.arange(3)).mean(0)
    np.testing.assert_array_less(np.abs(frequency - p), 6 * np.sqrt(p * (1 - p) / 8000) + 20 / 8000)
    np.testing.assert_array_equal(drawn["centre"], np.asarray(values["mu"])[np.asarray(drawn["z"])])


def test_states_in_a_scan_are_summed_out_and_not_drawn(funsor) -> None:
    generative = numpyro_model(hidden_markov, {"y": Y}).generative
    assert generative.observes
    assert not generative.predicts
    assert generative.discrete is None


def test_predictions_keep_the_rows_assignment(funsor) -> None:
    """Rows far in one part: 2,000 predictions, whose mean lies within 6 standard errors of that part's."""
    model = numpyro_model(assignments, {"y": np.array([-9.0, -9, -9, 9, 9, 9])})
    values = {"weights": np.array([0.4, 0.3, 0.3]), "mu": np.array([-9.0, 0.0, 9.0])}
    keys = jax.random.split(jax.random.key(0), 2000)
    found = jax.jit(jax.vmap(model.generative.predict, (0, None, None)))(keys, values, model.data)["y"]
    assert np.all(np.abs(np.mean(found, 0) - np.array([-9, -9, -9, 9, 9, 9])) < 6 / np.sqrt(2000))


def without_plate(y):
    mu = numpyro.sample("mu", dist.Normal())
    z = numpyro.sample("z", dist.Bernoulli(0.3))
    numpyro.sample("y", dist.Normal(mu + z, 1.0), obs=y)


def infinite(y):
    n = numpyro.sample("n", dist.Poisson(3.0))
    numpyro.sample("y", dist.Normal(n, numpyro.sample("sd", dist.HalfNormal())), obs=y)


def from_three(y):
    n = numpyro.sample("n", dist.DiscreteUniform(3, 6))
    numpyro.sample("y", dist.Normal(n, numpyro.sample("sd", dist.HalfNormal())), obs=y)


def test_axes_outside_plates_are_refused(funsor) -> None:
    with pytest.raises(ModelError, match=r"of 'y' a batch axis is in no plate: put it in a numpyro\.plate"):
        numpyro_model(without_plate, {"y": Y})


def test_infinite_and_shifted_supports_are_refused_with_the_remedy() -> None:
    with pytest.raises(ModelError, match=r"latent site 'n' is discrete \(Poisson\).*GammaPoisson"):
        numpyro_model(infinite, {"y": 1.0})
    with pytest.raises(ModelError, match=r"NumPyro enumerates from 0 on"):
        numpyro_model(from_three, {"y": 1.0})


def test_without_funsor_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "funsor", None)
    with pytest.raises(ModelError, match=r"latent sites 'z' are discrete.*pip install 'maxwell\[enumeration\]'"):
        numpyro_model(assignments, {"y": Y})
