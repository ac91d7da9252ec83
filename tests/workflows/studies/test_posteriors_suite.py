"""The suite of posteriors: every model builds, in NumPyro and in the front end, with one finite density."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import initialize_model, potential_energy

from maxwell import numpyro_model
from workflows.studies.posteriors.suite import POSTERIORS, posterior

NAMES = [entry.name for entry in POSTERIORS]


def test_names_are_unique_and_there_are_enough() -> None:
    assert len(NAMES) >= 30
    assert max(Counter(NAMES).values()) == 1


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no posterior 'nobody'; there are earnings"):
        posterior("nobody")


@pytest.mark.parametrize("name", NAMES)
def test_data_come_from_fixed_seeds(name: str) -> None:
    first, second = (posterior(name).build()[1] for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("name", NAMES)
def test_the_front_end_has_numpyros_density(name: str) -> None:
    model, data = posterior(name).build()
    ours = numpyro_model(model, data, name=name)
    theirs = initialize_model(jax.random.key(0), model, model_kwargs=data, validate_grad=False).param_info.z
    key, sites = jax.random.key(1), ours.target.sites
    x = {
        site: jax.random.uniform(jax.random.fold_in(key, i), sites[site].shape, minval=-0.5, maxval=0.5)
        for i, site in enumerate(sites)
    }
    value = jax.jit(lambda x: sum(jnp.sum(term) for term in ours.target.log_terms(x, ours.data).values()))(x)
    # Axes of length 1 are NumPyro's own.
    unpacked = {site: jnp.reshape(x[site], jnp.shape(theirs[site])) for site in x}
    expected = -jax.jit(lambda x: potential_energy(model, (), data, x))(unpacked)
    assert np.isfinite(value)
    np.testing.assert_allclose(value, expected, rtol=1e-9)


def test_a_masked_prior_is_as_flat_as_in_numpyro() -> None:
    model, data = posterior("dates").build()
    ours = numpyro_model(model, data, name="dates")
    x = {"a": jnp.asarray(-49_137.0), "b": jnp.asarray(0.02), "sigma": jnp.log(0.5)}
    value = sum(jnp.sum(term) for term in ours.target.log_terms(x, ours.data).values())
    np.testing.assert_allclose(value, -potential_energy(model, (), data, x), rtol=1e-9)
