"""NumPyro models of many kinds against NumPyro's own potential energy, at random unconstrained points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import potential_energy

from tests.support.models.numpyro_zoo import ZOO
from workflows.modelling.frontends.data import traced_and_static
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.frontends.numpyro.inspection import inspect
from workflows.modelling.frontends.numpyro.tracing import prior_sites


@pytest.mark.parametrize("name", ZOO)
def test_terms_starts_and_stored_values(name) -> None:
    """At a start and at two random points: the terms add up to NumPyro's potential, and from the values that the store
    has the coordinates come back."""
    function, data = ZOO[name]
    model = numpyro_model(function, data)
    arrays, static = traced_and_static(data)
    layouts = inspect(model.name, function, arrays, static)[0].unconstrained
    sites = model.target.sites

    @jax.jit
    def everything(key, noise, data):
        start = model.target.initial(key, data)
        position = {name: start[name] + noise[name] for name in start}
        terms = model.target.log_terms(position, data)
        names = {name: site["name"] for name, site in prior_sites(function, key, data | static).items()}
        shaped = {names[name]: layouts[name].unpack(value) for name, value in position.items()}
        expected = -potential_energy(function, (), data | static, shaped)
        values = model.target.constrain(position, data)
        return position, terms, expected, values, model.generative.unconstrain(values, data)

    rng = np.random.default_rng(5)
    for spread in (0.0, 0.3, 0.6):
        noise = {name: spread * rng.normal(size=site.shape) for name, site in sites.items()}
        position, terms, expected, values, back = everything(jax.random.key(1), noise, model.data)
        assert {name: (value.shape, value.dtype) for name, value in position.items()} == {
            name: (site.shape, jnp.float64) for name, site in sites.items()
        }
        assert terms.keys() == model.target.term_kinds.keys()
        assert np.isfinite(expected)
        total = sum(np.sum(term) for term in terms.values())
        np.testing.assert_allclose(total, expected, rtol=1e-11, atol=1e-10)
        for name, value in position.items():
            np.testing.assert_allclose(back[name], value, rtol=1e-6, atol=1e-6)
        for name, value in values.items():
            assert len(model.dims[name]) == value.ndim
