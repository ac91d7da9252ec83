"""Labels and data as pandas and plain Python have them."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest

from workflows.modelling.errors import ModelError
from workflows.modelling.frontends.data import traced_and_static
from workflows.modelling.frontends.labels import labels
from workflows.modelling.frontends.numpyro import numpyro_model

DATES = ["2024-05-01", "2024-05-03"]
GIVEN = {
    "list of text": (["a", "b"], ["a", "b"]),
    "tuple": ((3, 5), [3, 5]),
    "range": (range(2, 4), [2, 3]),
    "Index": (pd.Index(["a", "b"]), ["a", "b"]),
    "Series": (pd.Series([1.5, 2.5], index=[7, 8]), [1.5, 2.5]),
    "Series of text": (pd.Series(["a", "b"]), ["a", "b"]),
    "Categorical": (pd.Categorical(["b", "a"], categories=["a", "b"]), ["b", "a"]),
    "categories": (pd.Categorical(["b", "a", "a"]).categories, ["a", "b"]),
    "days": (pd.to_datetime(DATES), DATES),
    "times": (pd.to_datetime(["2024-05-01 12:00", "2024-05-03 00:00"]), ["2024-05-01T12:00:00", "2024-05-03T00:00:00"]),
    "with a zone": (pd.to_datetime(DATES, utc=True), ["2024-05-01 00:00:00+00:00", "2024-05-03 00:00:00+00:00"]),
    "periods": (pd.period_range("2024-05", periods=2, freq="M"), ["2024-05", "2024-06"]),
    "objects": (np.array([1, 2], dtype=object), [1, 2]),
    "text and numbers": (np.array(["a", 2], dtype=object), ["a", "2"]),
    "JAX": (jnp.array([1.0, 2.0]), [1.0, 2.0]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_labels_become_numbers_or_text(name) -> None:
    given, expected = GIVEN[name]
    found = labels({"dim": given})["dim"]
    assert found.tolist() == expected
    assert found.dtype.kind in "biufU"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("abc", "are the text 'abc': give a list"),
        ([["a"], ["b"]], "have the shape"),
        (pd.to_datetime(["2024-05-01", None]), "missing labels"),
        (np.array(["a", None], dtype=object), "missing labels"),
    ],
)
def test_labels_that_are_none_are_refused(given, message) -> None:
    with pytest.raises(ModelError, match=message):
        labels({"dim": given})


def test_nullable_numbers_are_floats_and_text_is_refused() -> None:
    arrays, _ = traced_and_static({"count": pd.Series([1, None, 3], dtype="Int64"), "pair": (1.0, [2, 3])})
    np.testing.assert_array_equal(arrays["count"], [1.0, np.nan, 3.0])
    with pytest.raises(ModelError, match="give numbers, or codes in their place"):
        traced_and_static({"kind": pd.Series(["a", "b"], dtype="category")})


def test_labels_follow_a_plate_whose_name_is_changed() -> None:
    def model(y):
        with numpyro.plate("a*b", 2):
            numpyro.sample("y", dist.Normal(numpyro.sample("mu", dist.Normal()), 1.0), obs=y)

    made = numpyro_model(model, {"y": [1.0, 2.0]}, coords={"a*b": ["u", "v"]})
    assert made.dims["mu"] == made.dims["y"] == ("a.b",)
    assert made.coords["a.b"].tolist() == ["u", "v"]
