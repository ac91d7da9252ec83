"""Masks and scales act on probabilities, never on Jacobians: against exact formulas, and against NumPyro's log density
of the constrained values plus the Jacobians of their transforms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import stats

from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model

Y = np.array([1.2, -0.4, 0.7, 2.1, -1.5, 0.3])
SEEN = np.array([True, False, True, True, False, True])


def flat_by_distribution(y):
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).mask(False))
    numpyro.sample("y", dist.Normal(0.0, sigma), obs=y)


def flat_by_handler(y):
    with handlers.mask(mask=False):
        sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    numpyro.sample("y", dist.Normal(0.0, sigma), obs=y)


def flat_by_array(y):
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0).mask(jnp.array(False)))
    numpyro.sample("y", dist.Normal(0.0, sigma), obs=y)


def total(model: Model, position: dict[str, Any]) -> float:
    return float(sum(jnp.sum(term) for term in model.target.log_terms(position, model.data).values()))


@pytest.mark.parametrize("function", [flat_by_distribution, flat_by_handler, flat_by_array])
def test_a_flat_prior_on_sigma_gives_the_exact_posterior(function) -> None:
    """Of six normal observations of mean 0: 1 / sigma^2 has the law Gamma(5/2, sum of squares / 2)."""
    model = numpyro_model(function, {"y": Y})
    points = np.linspace(-1.5, 2.0, 8)
    found = np.array([total(model, {"sigma": point}) for point in points])
    likelihood = stats.norm.logpdf(Y, 0.0, np.exp(points)[:, None]).sum(1)
    np.testing.assert_allclose(found, likelihood + points, rtol=1e-12)
    precision = np.exp(-2.0 * points)
    posterior = stats.gamma.logpdf(precision, 2.5, scale=2.0 / np.sum(Y**2)) + np.log(2.0 * precision)
    np.testing.assert_allclose(np.diff(found), np.diff(posterior), rtol=1e-10)


def masked_and_scaled(y):
    with handlers.mask(mask=jnp.array([True, False, True])), numpyro.plate("three", 3):
        a = numpyro.sample("a", dist.HalfNormal(2.0))
        p = numpyro.sample("p", dist.Dirichlet(jnp.ones(3)))
    with handlers.scale(scale=3.0):
        b = numpyro.sample("b", dist.Gamma(2.0, 1.0))
        with numpyro.plate("three_", 3), handlers.scale(scale=jnp.array([1.0, 2.0, 3.0])):
            c = numpyro.sample("c", dist.Beta(2.0, 2.0).mask(jnp.array([False, True, True])))
    with handlers.mask(mask=y > 0), handlers.scale(scale=0.5), numpyro.plate("row", 6):
        numpyro.sample("y", dist.Normal(a.sum() + p[0, 0], b + c.sum()), obs=y)


def test_terms_are_numpyros_log_density_and_the_jacobians() -> None:
    model = numpyro_model(masked_and_scaled, {"y": Y})
    transforms = {
        "a": dist.biject_to(dist.constraints.positive),
        "p": dist.biject_to(dist.constraints.simplex),
        "b": dist.biject_to(dist.constraints.positive),
        "c": dist.biject_to(dist.constraints.unit_interval),
    }
    rng = np.random.default_rng(0)
    for _ in range(3):
        position = {name: jnp.asarray(rng.normal(size=site.shape)) for name, site in model.target.sites.items()}
        values = {name: transforms[name](x) for name, x in position.items()}
        jacobians = sum(jnp.sum(t.log_abs_det_jacobian(position[n], values[n])) for n, t in transforms.items())
        expected = log_density(masked_and_scaled, (), {"y": Y}, values)[0] + jacobians
        assert total(model, position) == pytest.approx(float(expected), rel=1e-12)


def partly_observed(y, seen):
    mu = numpyro.sample("mu", dist.Normal(0.0, 2.0))
    sd = numpyro.sample("sd", dist.HalfNormal(1.0))
    with numpyro.plate("row", 6):
        numpyro.sample("y", dist.Gamma(jnp.exp(mu), sd), obs=y, obs_mask=seen)


def test_values_that_were_observed_leave_a_proper_density_that_is_the_same() -> None:
    """Integrated over the coordinates of what obs_mask leaves unobserved, by the trapezoidal rule: the density of the
    observed values alone."""
    y = np.abs(Y) + 0.1
    model = numpyro_model(partly_observed, {"y": np.where(SEEN, y, np.nan), "seen": SEEN})
    nodes = jnp.linspace(-30.0, 6.0, 3001)
    at = {"mu": 0.4, "sd": -0.2}
    terms = jax.vmap(lambda x: model.target.log_terms({**at, "y_unobserved": jnp.full(6, x)}, model.data))(nodes)
    mass = jnp.exp(terms["y_unobserved"]).sum(0) * (nodes[1] - nodes[0])
    np.testing.assert_allclose(mass, 1.0, rtol=1e-6)
    gamma = stats.gamma(np.exp(0.4), scale=np.exp(0.2))
    np.testing.assert_allclose(terms["y_observed"][0], np.where(SEEN, gamma.logpdf(y), 0.0), rtol=1e-10)
    values = model.target.constrain({**at, "y_unobserved": jnp.zeros(6)}, model.data)
    np.testing.assert_allclose(values["y"], np.where(SEEN, y, 1.0))
    assert model.dims["y"] == ("row",)
    gradient = jax.grad(lambda p: sum(jnp.sum(t) for t in model.target.log_terms(p, model.data).values()))
    assert all(np.isfinite(g).all() for g in gradient({**at, "y_unobserved": jnp.zeros(6)}).values())
