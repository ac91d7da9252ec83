"""Names of the axes of deterministic values: right where they are given, and no guess where nothing shows them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.numpyro import numpyro_model

RNG = np.random.default_rng(1)
Y = np.array([0, 2, 1])
X = RNG.normal(size=(3, 3))
GROUP = np.array([1, 0, 2])


def softmax(y, classes=3):
    with numpyro.plate("site", 3):
        eta = numpyro.sample("eta", dist.Normal(0, 1).expand([classes]).to_event(1))
        p = numpyro.deterministic("p", jax.nn.softmax(eta, axis=-1))
        numpyro.deterministic("turned", p.T)
        numpyro.sample("y", dist.Categorical(p), obs=y)


def one_class_moves(y):
    with numpyro.plate("site", 3):
        a = numpyro.sample("a", dist.Normal())
        p = numpyro.deterministic("p", jnp.stack([a, jnp.zeros(3), jnp.ones(3)], -1))
        numpyro.sample("y", dist.Categorical(logits=p), obs=y)


def regression(x, y):
    beta = numpyro.sample("beta", dist.Normal(0, 1).expand([3]).to_event(1))
    with numpyro.plate("site", 3):
        numpyro.deterministic("shared", jax.nn.softmax(beta))
        mu = numpyro.deterministic("mu", x @ beta)
        numpyro.deterministic("each", x * beta)
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)


def by_group(group, y):
    with numpyro.plate("group", 3):
        a = numpyro.sample("a", dist.Normal())
    with numpyro.plate("site", 3):
        mu = numpyro.deterministic("mu", a[group])
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)


def classes_of_no_site(y, weight):
    b = numpyro.sample("b", dist.Normal())
    with numpyro.plate("site", 3):
        numpyro.deterministic("of_class", b * weight)
        numpyro.sample("y", dist.Normal(b + weight.sum(), 1.0), obs=y)


def predictions(y, new):
    a = numpyro.sample("a", dist.Normal())
    numpyro.sample("y", dist.Normal(a, 1.0), obs=y)
    with numpyro.plate("new", 3):
        numpyro.deterministic("mean", a * new)


def table(y):
    rows, columns = numpyro.plate("row", 3, dim=-2), numpyro.plate("column", 3, dim=-1)
    with rows:
        a = numpyro.sample("a", dist.Normal())
    with columns:
        b = numpyro.sample("b", dist.Normal())
    with rows, columns:
        numpyro.deterministic("sum", a + b)
        numpyro.deterministic("of_rows", a)
        numpyro.deterministic("of_columns", b)
        numpyro.deterministic("wide", (a + b)[..., None] * jnp.arange(1.0, 4.0))
        numpyro.sample("y", dist.Normal(a + b, 1.0), obs=y)


def running_total(y):
    with numpyro.plate("time", 3):
        step = numpyro.sample("step", dist.Normal())
        level = numpyro.deterministic("level", jnp.cumsum(step))
        numpyro.sample("y", dist.Normal(level, 1.0), obs=y)


def of_pairs(y):
    with numpyro.plate("site", 3):
        a = numpyro.sample("a", dist.Normal())
        numpyro.deterministic("pairs", a[:, None] * a)
        numpyro.deterministic("diagonal", jnp.diag(a))
        numpyro.deterministic("nothing", jnp.arange(3.0))
        numpyro.sample("y", dist.Normal(a, 1.0), obs=y)


CASES: dict[str, tuple[Any, dict[str, Any], dict[str, tuple[str, ...]]]] = {
    "softmax": (softmax, {"y": Y}, {"p": ("site", "p_dim_0"), "turned": ("site", "turned_dim_0")}),
    "softmax of two classes": (softmax, {"y": Y, "classes": 2}, {"p": ("site", "p_dim_0")}),
    "one class moves": (one_class_moves, {"y": Y}, {"p": ("site", "p_dim_0")}),
    "regression": (
        regression,
        {"x": X, "y": X[0]},
        {"mu": ("site",), "each": ("site", "each_dim_0"), "shared": ("shared_dim_0",)},
    ),
    "by group": (by_group, {"group": GROUP, "y": X[0]}, {"mu": ("site",), "a": ("group",)}),
    "classes of no site": (classes_of_no_site, {"y": X[0], "weight": X[1]}, {"of_class": ("of_class_dim_0",)}),
    "predictions": (predictions, {"y": X[0], "new": X[1]}, {"mean": ("new",)}),
    "table": (
        table,
        {"y": X},
        {
            "sum": ("row", "column"),
            "of_rows": ("row",),
            "of_columns": ("column",),
            "wide": ("row", "column", "wide_dim_0"),
        },
    ),
    "running total": (running_total, {"y": X[0]}, {"level": ("level_dim_0",)}),
    "pairs": (
        of_pairs,
        {"y": X[0]},
        {
            "pairs": ("pairs_dim_0", "pairs_dim_1"),
            "diagonal": ("diagonal_dim_0", "diagonal_dim_1"),
            "nothing": ("nothing_dim_0",),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_axes_are_named_by_what_moves_them(name) -> None:
    function, data, expected = CASES[name]
    model = numpyro_model(function, data)
    assert {variable: model.dims[variable] for variable in expected} == expected
    start = jax.eval_shape(model.target.initial, jax.random.key(0), model.data)
    for variable, value in jax.eval_shape(model.target.constrain, start, model.data).items():
        assert len(model.dims[variable]) == value.ndim


def test_probabilities_lie_along_their_names() -> None:
    """Whichever way a value lies in the model, its plate leads in the results."""
    model = numpyro_model(softmax, {"y": Y})
    values = model.target.constrain(model.target.initial(jax.random.key(0), model.data), model.data)
    np.testing.assert_allclose(values["p"].sum(1), 1.0)
    np.testing.assert_array_equal(values["turned"], values["p"])


def test_names_given_for_all_axes_are_taken_as_they_are() -> None:
    names = {"turned": ("class", "site"), "p": ("class",)}
    model = numpyro_model(softmax, {"y": Y}, dims=names)
    values = model.target.constrain(model.target.initial(jax.random.key(0), model.data), model.data)
    assert model.dims["turned"] == ("class", "site")
    assert model.dims["p"] == ("site", "class")
    np.testing.assert_array_equal(values["turned"], values["p"].T)
    assert numpyro_model(running_total, {"y": X[0]}, dims={"level": ("time",)}).dims["level"] == ("time",)
    with pytest.raises(ModelError, match=r"dims of 'pairs' are .*name the other axes, or all of them"):
        numpyro_model(of_pairs, {"y": X[0]}, dims={"pairs": ("other",)})
