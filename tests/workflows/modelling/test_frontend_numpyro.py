"""The NumPyro front end against NumPyro's own potential, and the models it refuses."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer.util import potential_energy

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.modelling.model import Model

RNG = np.random.default_rng(0)
SCHOOLS = {"y": np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), "sigma": np.array([15.0, 10, 16, 11, 9, 11, 10, 18])}
GRID = {"y": RNG.normal(size=(3, 5))}


def schools(y, sigma):
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    with numpyro.plate("school", len(y)):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.deterministic("shrinkage", theta - mu)
        numpyro.sample("obs", dist.Normal(theta, sigma), obs=y)


def simplex_and_cholesky(y):
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.ones(4)))
    cholesky = numpyro.sample("cholesky", dist.LKJCholesky(3, 2.0))
    with numpyro.plate("row", 5):
        shares = numpyro.sample("shares", dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])))
        numpyro.sample("obs", dist.MultivariateNormal(shares, scale_tril=cholesky), obs=y.T)
    numpyro.factor("pull", -jnp.sum(weights**2))


def masked(y):
    scale = numpyro.sample("scale", dist.LogNormal(0.0, 1.0))
    with numpyro.plate("row", 3, dim=-2), numpyro.plate("column", 5, dim=-1), handlers.mask(mask=y > -0.5):
        numpyro.sample("obs", dist.StudentT(3.0, 0.0, scale), obs=y)
    with handlers.scale(scale=3.0), numpyro.plate("extra", 4):
        numpyro.sample("positive", dist.Gamma(2.0, scale))
    with handlers.mask(mask=jnp.array([True, False])), numpyro.plate("half", 2):
        numpyro.sample("part", dist.Exponential(1.0))


def plates_on_the_left(y):
    with numpyro.plate("row", 3, dim=-2):
        row = numpyro.sample("row_effect", dist.HalfNormal(1.0))
        numpyro.deterministic("row_log", jnp.log(row))
    with numpyro.plate("column", 5, dim=-1):
        column = numpyro.sample("column_effect", dist.Normal(jnp.zeros((2, 1, 5)), 1.0))
        slopes = numpyro.sample("slopes", dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2)))
    with numpyro.plate("row_", 3, dim=-2), numpyro.plate("column_", 5, dim=-1):
        both = numpyro.sample("both", dist.Normal(0.0, row))
        numpyro.sample("obs", dist.Normal(both + column.sum(0) + slopes[:, 0], 1.0), obs=y)


def dependent_support(y):
    low = numpyro.sample("low", dist.Normal(0.0, 1.0))
    high = numpyro.sample("high", dist.TruncatedNormal(low, 1.0, low=low))
    with numpyro.plate("row", 3):
        between = numpyro.sample("between", dist.Uniform(low, high))
    numpyro.sample("obs", dist.Normal(between[:, None], jnp.ones(5)).to_event(2), obs=y)
    numpyro.sample("flat", dist.ImproperUniform(dist.constraints.positive, (), ()))
    numpyro.sample("ordered", dist.ImproperUniform(dist.constraints.ordered_vector, (), (4,)))


CASES: dict[str, tuple[Callable[..., None], dict[str, Any]]] = {
    "schools": (schools, SCHOOLS),
    "simplex_and_cholesky": (simplex_and_cholesky, GRID),
    "masked": (masked, GRID),
    "plates_on_the_left": (plates_on_the_left, GRID),
    "dependent_support": (dependent_support, GRID),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Model, Callable[..., None], dict[str, Any]]:
    function, data = CASES[request.param]
    return numpyro_model(function, data), function, data


def starts(model: Model, n: int = 4) -> dict[str, jax.Array]:
    return jax.jit(jax.vmap(model.target.initial, (0, None)))(jax.random.split(jax.random.key(1), n), model.data)


NUMPYRO_SHAPES = {"row_effect": (3, 1), "column_effect": (2, 1, 5)}
"""NumPyro's shapes of the sites whose padding or unplated axes we move."""


def numpyro_shaped(name: str, value: jax.Array) -> jax.Array:
    moved = jnp.moveaxis(value, 0, -1) if name == "column_effect" else value
    return moved.reshape(NUMPYRO_SHAPES.get(name, value.shape))


def test_terms_add_up_to_numpyros_potential(case) -> None:
    model, function, data = case

    # NumPyro scales and masks Jacobians where handlers do; ours are those of the coordinates alone.
    def both(position):
        total = sum(jnp.sum(term) for term in model.target.log_terms(position, model.data).values())
        shaped = {name: numpyro_shaped(name, value) for name, value in position.items()}
        missing = 0.0
        if function is masked:
            missing = -2.0 * jnp.sum(position["positive"]) + position["part"][1]
        return total, missing - potential_energy(function, (), data, shaped)

    totals, expected = jax.jit(jax.vmap(both))(starts(model))
    np.testing.assert_allclose(totals, expected, rtol=1e-12, atol=1e-10)


def test_starts_are_finite_of_the_declared_shapes_and_all_different(case) -> None:
    model, _, _ = case
    terms = jax.jit(jax.vmap(model.target.log_terms, (0, None)))(starts(model), model.data)
    assert all(jnp.isfinite(values).all() for values in terms.values())
    for name, values in starts(model).items():
        assert values.shape == (4, *model.target.sites[name].shape)
        assert values.dtype == jnp.float64
        assert len({value.tobytes() for value in np.asarray(values)}) == 4


def test_terms_and_variables_are_vmappable_and_have_their_dims(case) -> None:
    model, _, _ = case
    positions = starts(model)
    terms = jax.jit(jax.vmap(model.target.log_terms, (0, None)))(positions, model.data)
    one = jax.jit(model.target.log_terms)({name: value[2] for name, value in positions.items()}, model.data)
    for name, value in one.items():
        np.testing.assert_allclose(terms[name][2], value, rtol=1e-12, atol=1e-12)
    assert set(terms) == set(model.target.term_kinds)
    variables = jax.jit(jax.vmap(model.target.constrain, (0, None)))(positions, model.data)
    for name, value in variables.items():
        assert len(model.dims[name]) == value.ndim - 1


def test_schools_in_full() -> None:
    model = numpyro_model(schools, SCHOOLS, coords={"school": list("ABCDEFGH")})
    target = model.target
    assert {name: (s.shape, s.plates) for name, s in target.sites.items()} == {
        "mu": ((), ()),
        "tau": ((), ()),
        "theta": ((8,), ("school",)),
    }
    assert target.term_kinds == {"mu": "prior", "tau": "prior", "theta": "prior", "obs": "likelihood"}
    position = {"mu": jnp.float64(1.0), "tau": jnp.float64(0.5), "theta": jnp.arange(8.0)}
    terms = target.log_terms(position, model.data)
    assert {name: term.shape for name, term in terms.items()} == {"mu": (), "tau": (), "theta": (8,), "obs": (8,)}
    expected = dist.HalfCauchy(5.0).log_prob(jnp.exp(0.5)) + 0.5
    assert float(terms["tau"]) == pytest.approx(float(expected), rel=1e-14)
    variables = target.constrain(position, model.data)
    np.testing.assert_allclose(variables["shrinkage"], jnp.arange(8.0) - 1.0)
    assert float(variables["tau"]) == pytest.approx(np.exp(0.5))
    assert model.dims == {
        "mu": (),
        "tau": (),
        "theta": ("school",),
        "shrinkage": ("school",),
        "obs": ("school",),
    }
    np.testing.assert_array_equal(model.observed["obs"], SCHOOLS["y"])
    assert list(model.coords["school"]) == list("ABCDEFGH")
    assert model.supports["tau"] == "Positive"


def test_axes_of_plates_on_the_left_are_squeezed_and_others_become_event_axes() -> None:
    model = numpyro_model(plates_on_the_left, GRID, dims={"column_effect": ("half",)})
    shapes = {name: (s.shape, s.plates) for name, s in model.target.sites.items()}
    assert shapes == {
        "row_effect": ((3,), ("row",)),
        "column_effect": ((5, 2), ("column",)),
        "slopes": ((5, 2), ("column",)),
        "both": ((3, 5), ("row_", "column_")),
    }
    assert model.dims["column_effect"] == ("column", "half")
    assert model.dims["slopes"] == ("column", "slopes_dim_0")
    assert model.dims["row_log"] == ("row",)
    assert model.dims["obs"] == ("row_", "column_")
    start = model.target.initial(jax.random.key(0), model.data)
    variables = model.target.constrain(start, model.data)
    np.testing.assert_allclose(variables["row_log"], start["row_effect"], rtol=1e-12)
    assert variables["column_effect"].shape == (5, 2)


def test_other_data_of_the_same_shape_do_not_trace_again() -> None:
    model = numpyro_model(schools, SCHOOLS)
    traces = []

    def total(position, data):
        traces.append(None)
        return sum(jnp.sum(term) for term in model.target.log_terms(position, data).values())

    compiled = jax.jit(total)
    position = model.target.initial(jax.random.key(0), model.data)
    first = compiled(position, model.data)
    second = compiled(position, model.data | {"y": SCHOOLS["y"] + 1.0})
    assert len(traces) == 1
    assert float(first) != float(second)


def test_prior_starts_follow_the_prior() -> None:
    """Means of 20,000 draws within 5 standard errors: false alarms below 6e-7 for each of two checks."""
    model = numpyro_model(lambda: numpyro.sample("x", dist.Normal(2.0, 3.0)), {}, name="normal")
    draws = np.asarray(starts(model, 20_000)["x"])
    assert abs(draws.mean() - 2.0) < 5 * 3.0 / np.sqrt(20_000)
    assert abs(draws.var() / 9.0 - 1.0) < 5 * np.sqrt(2 / 20_000)


def test_integers_and_text_are_static_and_floats_are_traced() -> None:
    def model(n, kind, scale):
        with numpyro.plate("row", n):
            numpyro.sample("x", dist.Normal(0.0, scale) if kind == "normal" else dist.Cauchy(0.0, scale))

    built = numpyro_model(model, {"n": 4, "kind": "cauchy", "scale": 2.0})
    assert built.static == {"n": 4, "kind": "cauchy"}
    assert set(built.data) == {"scale"}
    term = built.target.log_terms({"x": jnp.ones(4)}, {"scale": jnp.float64(5.0)})["x"]
    np.testing.assert_allclose(term, dist.Cauchy(0.0, 5.0).log_prob(jnp.ones(4)))


def test_wrong_dims_are_refused() -> None:
    with pytest.raises(ModelError, match=r"dims of 'theta' are \('a', 'b'\).*1 plates"):
        numpyro_model(schools, SCHOOLS, dims={"theta": ("a", "b")})
    with pytest.raises(ModelError, match="no variables"):
        numpyro_model(schools, SCHOOLS, dims={"thetta": ("a",)})


def test_text_data_in_arrays_are_refused() -> None:
    with pytest.raises(ModelError, match="data 'kinds' holds values of type"):
        numpyro_model(schools, SCHOOLS | {"kinds": ["a", "b"]})
