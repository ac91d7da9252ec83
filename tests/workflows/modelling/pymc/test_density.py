"""The density of PyMC models against PyMC's own, compiled by another linker with another differentiation."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pm = pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")

import maxwell
from tests.support.models.pymc_zoo import ZOO
from workflows.modelling.fingerprint import fingerprint
from workflows.modelling.frontends.pymc.layouts import Layout
from workflows.modelling.model import Model

POINTS = 3
PYTHON = "FAST_COMPILE"
"""PyTensor's mode without C, which would take half a minute a model."""


@cache
def both(name: str) -> tuple[Any, Model]:
    model = ZOO[name]()
    return model, maxwell.pymc_model(model)


def points(model: Any, read: Model, seed: int) -> tuple[dict[str, np.ndarray], dict[str, jax.Array]]:
    """One random point: for PyMC by its value variables, and as sites."""
    start = jax.jit(read.target.initial)(jax.random.key(seed), read.data)
    rng = np.random.default_rng(seed)
    position = {name: value + 0.1 * rng.normal(size=value.shape) for name, value in start.items()}
    values = {}
    for rv in model.free_RVs:
        turned = turned_round(model, read, rv.name)
        values[model.rvs_to_values[rv].name] = np.asarray(turned.unpack(position[rv.name]))
    return values, position


def turned_round(model: Any, read: Model, name: str) -> Layout:
    """The layout of a site, found from its shape and that of PyMC's initial point."""
    shape = model.initial_point(0)[model.rvs_to_values[model[name]].name].shape
    site = read.target.sites[name]
    order = tuple(range(len(shape))) if site.shape == shape else (1, 0)
    return Layout(name, shape, order, site.plates)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_terms_and_gradient_are_those_of_pymc(name: str) -> None:
    model, read = both(name)
    weighed = [*model.free_RVs, *model.observed_RVs, *model.potentials]
    with model:  # where PyMC looks for check_bounds
        terms = model.compile_logp(weighed, sum=False, mode=PYTHON)
        slope = model.compile_dlogp(model.free_RVs, mode=PYTHON)
    total = jax.jit(jax.grad(lambda p: sum(jnp.sum(x) for x in read.target.log_terms(p, read.data).values())))
    for seed in range(POINTS):
        values, position = points(model, read, seed)
        ours = jax.jit(read.target.log_terms)(position, read.data)
        for variable, theirs in zip(weighed, terms(values), strict=True):
            np.testing.assert_allclose(ours[variable.name], theirs, rtol=1e-9, atol=1e-9)
        gradient = total(position)
        ours_flat = [np.ravel(turned_round(model, read, rv.name).unpack(gradient[rv.name])) for rv in model.free_RVs]
        np.testing.assert_allclose(np.concatenate(ours_flat), slope(values), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_recorded_variables_are_those_of_pymc_and_lead_back(name: str) -> None:
    model, read = both(name)
    theirs = model.compile_fn(model.unobserved_value_vars, inputs=model.value_vars, mode=PYTHON)
    values, position = points(model, read, 7)
    recorded = read.target.constrain(position, read.data)
    named = dict(zip([x.name for x in model.unobserved_value_vars], theirs(values), strict=True))
    assert set(recorded) == {variable.name for variable in model.unobserved_RVs}
    for variable, value in recorded.items():
        np.testing.assert_allclose(value, named[variable], rtol=1e-9, atol=1e-12)
    assert read.generative is not None
    back = read.generative.unconstrain(recorded, read.data)
    for site, value in back.items():
        np.testing.assert_allclose(value, position[site], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_pointwise_log_likelihood_is_that_of_pymc(name: str) -> None:
    model, read = both(name)
    theirs = model.compile_logp(model.observed_RVs, sum=False, mode=PYTHON)
    values, position = points(model, read, 8)
    recorded = read.target.constrain(position, read.data)
    assert read.generative is not None
    ours = read.generative.log_likelihood(recorded, read.data)
    for rv, expected in zip(model.observed_RVs, theirs(values), strict=True):
        np.testing.assert_allclose(ours[rv.name], expected, rtol=1e-7, atol=1e-9)


def test_a_wrong_parameter_has_no_probability_as_in_pymc() -> None:
    """PyMC's own JAX samplers take the checks out, and a negative sigma then has a density."""
    with pm.Model() as model:
        sigma = pm.Normal("sigma", 1, 1)
        pm.Normal("y", 0, sigma, observed=[0.5, 1.0])
    read = maxwell.pymc_model(model)
    terms = read.target.log_terms({"sigma": jnp.asarray(-0.5)}, read.data)
    assert np.isneginf(terms["y"]).all()


def test_the_data_are_arguments_and_no_part_of_the_program() -> None:
    y = np.random.default_rng(1).normal(size=1234)
    with pm.Model() as model:
        x = pm.Data("x", y[::-1])
        index = np.arange(1234) % 7
        a = pm.Normal("a", shape=7)
        pm.Normal("y", a[index] * x, 1, observed=y)
    read = maxwell.pymc_model(model)
    assert {name: value.shape for name, value in read.data.items()} == {
        "x": (1234,),
        "y": (1234,),
        "constant_0": (1234,),
    }
    position = read.target.initial(jax.random.key(0), read.data)
    traced = jax.make_jaxpr(read.target.log_terms)(position, read.data)
    assert max((np.size(constant) for constant in traced.consts), default=0) < 8
    changed = read.data | {"y": read.data["y"] + 1.0}
    moved = read.target.log_terms(position, changed)["y"]
    assert not np.allclose(moved, read.target.log_terms(position, read.data)["y"])
    assert {"['x']", "['y']", "['constant_0']"} == set(fingerprint(read)["data"])
