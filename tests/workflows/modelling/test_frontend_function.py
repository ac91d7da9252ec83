"""The plain-JAX front end."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.function import function_model


def terms(position, data):
    return {"prior": -0.5 * position["x"] ** 2, "fit": -0.5 * (data["y"] - position["x"]) ** 2}


def density(position, data):
    return -jnp.sum(position["x"] ** 2)


def test_named_terms_with_plates() -> None:
    model = function_model(terms, {"x": ((3,), ("row",))}, {"y": np.arange(3.0)}, likelihood=["fit"])
    assert model.target.sites["x"].plates == ("row",)
    assert model.target.term_kinds == {"prior": "prior", "fit": "likelihood"}
    assert model.dims == {"x": ("row",)}
    found = model.target.log_terms({"x": jnp.ones(3)}, model.data)
    np.testing.assert_allclose(found["fit"], [-0.5, 0.0, -0.5])
    start = model.target.initial(jax.random.key(0), model.data)["x"]
    assert start.shape == (3,)
    assert float(jnp.max(jnp.abs(start))) < 2.0


def test_a_log_density_is_one_likelihood_term() -> None:
    model = function_model(density, {"x": 4}, name="ball")
    assert model.target.term_kinds == {"log_density": "likelihood"}
    assert model.dims == {"x": ("x_dim_0",)}
    assert float(model.target.log_terms({"x": jnp.ones(4)}, {})["log_density"]) == -4.0


def test_recorded_variables_and_starts_of_ones_own() -> None:
    model = function_model(
        density,
        {"x": (2, 2)},
        constrain=lambda position, data: {"scale": jnp.exp(position["x"]), "total": position["x"].sum()},
        initial=lambda key, data: {"x": jnp.full((2, 2), 7.0)},
    )
    assert model.dims == {"scale": ("scale_dim_0", "scale_dim_1"), "total": ()}
    assert float(model.target.initial(jax.random.key(0), {})["x"][0, 0]) == 7.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sites": {"x": ((3,), ("a", "b"))}}, r"site 'x' has shape \(3,\) and plates"),
        (
            {"sites": {"x": 3}, "likelihood": ["fitt"]},
            r"likelihood names \['fitt'\], but its terms are \['fit', 'prior'\]",
        ),
        (
            {"sites": {"x": 3}, "initial": lambda key, data: {"z": jnp.ones(3)}},
            r"`initial` gives sites \{'z': \(3,\)\}",
        ),
        ({"sites": {}}, "no latent variable"),
        ({"sites": {"x": 0}, "data": {"y": np.ones(0)}}, r"shape \(0,\), no elements"),
    ],
)
def test_wrong_declarations_are_refused(arguments, message) -> None:
    function = (lambda position, data: {"a": jnp.zeros(())}) if not arguments["sites"] else terms
    with pytest.raises(ModelError, match=message):
        function_model(function, **({"data": {"y": np.arange(3.0)}} | arguments))
