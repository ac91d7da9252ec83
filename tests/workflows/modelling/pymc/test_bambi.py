"""Bambi models: the variables that Bambi's own `fit` returns, from the same values."""

import warnings
from typing import Any

import arviz as az
import jax
import numpy as np
import pytest

pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    bmb = pytest.importorskip("bambi", reason="Bambi is an optional extra: pip install 'maxwell[bambi]'")

import pandas as pd

import maxwell
from workflows.modelling.model import Model

RNG = np.random.default_rng(31)
N = 40
TABLE = pd.DataFrame(
    {
        "y": RNG.normal(size=N),
        "won": RNG.integers(0, 2, N),
        "choice": RNG.choice(["p", "q", "r"], N),
        "x": RNG.normal(3, 1, N),
        "kind": RNG.choice(["u", "v", "w"], N),
        "county": RNG.choice([f"c{i}" for i in range(5)], N),
    }
)
FORMULAS: dict[str, dict[str, Any]] = {
    "y ~ x + kind + (x|county)": {},
    "won ~ x + (1|county)": {"family": "bernoulli"},
    "y ~ 0 + x + (0 + kind|county)": {"noncentered": False},
    "y ~ x + (kind|county)": {},
    "choice ~ x": {"family": "categorical"},
    "y ~ x": {"center_predictors": False},
}
SHOWN = {"Intercept", "x", "kind", "sigma", "1|county", "1|county_sigma", "x|county", "x|county_sigma"}


def built(formula: str) -> tuple[Any, Model]:
    model = bmb.Model(formula, TABLE, **FORMULAS[formula])
    return model, maxwell.bambi_model(model)


def start(read: Model) -> dict[str, jax.Array]:
    return read.target.initial(jax.random.key(1), read.data)


def test_names_and_dims_are_those_that_bambis_users_see() -> None:
    _, read = built("y ~ x + kind + (x|county)")
    values = read.target.constrain(start(read), read.data)
    assert set(values) == SHOWN
    assert {name: read.dims[name] for name in ("kind", "x|county", "y")} == {
        "kind": ("kind_dim",),
        "x|county": ("county__factor_dim",),
        "y": ("obs",),
    }
    assert read.name == "y ~ x + kind + (x|county)"
    assert read.target.sites["x|county_offset"].plates == ("county__factor_dim",)
    assert read.target.sites["1|county_offset"].plates == ("county__factor_dim",)


@pytest.mark.parametrize("formula", sorted(FORMULAS))
def test_values_are_those_that_bambi_makes_of_pymcs(formula: str) -> None:
    model, read = built(formula)
    inside = maxwell.pymc_model(model.backend.model)
    position = start(read)
    raw = inside.target.constrain(position, inside.data)
    hidden = set(model.family.likelihood.params) & {x.name for x in model.backend.model.deterministics}
    dims = {name: [dim for dim in model.backend.model.named_vars_to_dims.get(name, ())] for name in raw}
    posterior = {name: np.asarray(value)[None, None] for name, value in raw.items() if name not in hidden}
    coords = {dim: list(labels) for dim, labels in model.backend.model.coords.items()}
    theirs = model.backend._clean_results(az.from_dict(posterior, coords=coords, dims=dims), True, False).posterior
    ours = read.target.constrain(position, read.data)
    assert set(ours) == set(theirs.data_vars)
    for name, value in ours.items():
        assert read.dims[name] == theirs[name].dims[2:]
        np.testing.assert_allclose(value, theirs[name].values[0, 0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("formula", sorted(FORMULAS))
def test_what_bambi_hides_is_found_again(formula: str) -> None:
    _, read = built(formula)
    position = start(read)
    generative = read.generative
    assert generative is not None
    values = read.target.constrain(position, read.data)
    back = generative.unconstrain(values, read.data)
    for name, value in position.items():
        np.testing.assert_allclose(back[name], value, rtol=1e-7, atol=1e-9)
    response = next(iter(read.observed))
    expected = read.target.log_terms(position, read.data)[response]
    np.testing.assert_allclose(generative.log_likelihood(values, read.data)[response], expected, rtol=1e-7, atol=1e-9)
    drawn = generative.predict(jax.random.key(0), values, read.data)[response]
    assert drawn.shape == read.observed[response].shape
    assert set(generative.prior(jax.random.key(0), read.data)[0]) == set(values)
