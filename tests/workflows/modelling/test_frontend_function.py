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


@pytest.mark.parametrize(
    ("density", "kind"),
    [(lambda p, d: jnp.sum(p["x"]) + 1j, "complex128"), (lambda p, d: "high", "str"), (lambda p, d: None, "NoneType")],
)
def test_a_density_that_is_no_real_number_is_refused(density, kind):
    with pytest.raises(ModelError, match=rf"term 'log_density' is of type {kind}: a log density is a real number"):
        function_model(density, {"x": 2}, name="odd")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x\udc80", r"'x\\udc80' has half a character"),
        ("a\\b", r"has a backslash, which Zarr takes for a slash"),
        ("a\nb", r"has a control character"),
        (" ", "is empty"),
        ("x" * 201, "has 201 bytes; allowed are 200"),
    ],
)
def test_names_that_no_store_can_hold_are_refused_and_can_be_printed(name, why):
    """As sites, and as the plates that name dimensions."""
    with pytest.raises(ModelError, match=why) as caught:
        function_model(lambda p, d: -jnp.sum(p[name] ** 2), {name: 2}, name="odd")
    str(caught.value).encode()
    with pytest.raises(ModelError, match=f"dimension .*{why}"):
        function_model(lambda p, d: -jnp.sum(p["x"] ** 2), {"x": ((2,), (name,))}, name="odd")


def test_labels_with_half_a_character_are_refused():
    with pytest.raises(ModelError, match=r"labels of 'row' '\\udcff' has half a character"):
        function_model(
            lambda p, d: -jnp.sum(p["x"] ** 2), {"x": ((2,), ("row",))}, coords={"row": ["a", "\udcff"]}, name="odd"
        )
