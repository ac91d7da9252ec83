"""What is refused, with words, before anything is compiled; and what is said where a part cannot be had."""

from typing import Any

import jax
import numpy as np
import pytest

pm = pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")

import pytensor
import pytensor.tensor as pt

import maxwell
from tests.support.models.pymc_zoo import ZOO
from workflows.modelling.errors import ModelError


class Foreign(pytensor.graph.op.Op):
    """An operation that only Python can carry out."""

    itypes = (pt.dscalar,)
    otypes = (pt.dscalar,)

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        outputs[0][0] = np.asarray(inputs[0])


def discrete() -> Any:
    with pm.Model() as model:
        k = pm.Poisson("k", 3)
        pm.Normal("y", k, 1, observed=[1.0])
    return model


def minibatch() -> Any:
    with pm.Model() as model:
        batch = pm.Minibatch(np.arange(100.0), batch_size=10)
        pm.Normal("y", pm.Normal("mu"), 1, observed=batch, total_size=100)
    return model


def foreign() -> Any:
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.Potential("solver", Foreign()(x))
    return model


def foreign_distribution() -> Any:
    with pm.Model() as model:
        x = pm.Normal("x")
        pm.CustomDist("outcome", x, logp=lambda value, mu: Foreign()(mu) + value, observed=1.0)
    return model


def nothing() -> Any:
    with pm.Model() as model:
        pm.Normal("y", 0, 1, observed=[1.0])
    return model


def underscored() -> Any:
    with pm.Model() as model:
        pm.Normal("__a")
    return model


def infinite() -> Any:
    with pm.Model(coords={"i": range(2)}) as model:
        pm.Normal("x", dims="i")
        pm.Potential("impossible", pt.constant(-np.inf))
    return model


REFUSED = [
    (discrete, "'k' is discrete.*pymc_extras.marginalize"),
    (minibatch, "density of 'y' is random.*Minibatch"),
    (foreign, "cannot compile 'solver' for JAX.*Foreign"),
    (foreign_distribution, "cannot compile 'outcome' for JAX.*Foreign"),
    (nothing, "no free variable"),
    (underscored, "'__a'.*leading dot or double underscore"),
    (infinite, "terms: impossible"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[make.__name__ for make, _ in REFUSED])
def test_what_cannot_be_sampled_is_refused_with_words(make: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        maxwell.pymc_model(make())


def test_values_missing_among_counts_are_refused_as_what_they_are() -> None:
    with pm.Model() as model, pytest.warns(match="missing values"):
        pm.Poisson("y", pm.Gamma("rate", 1, 1), observed=np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]))
    with pytest.raises(ModelError, match=r"missing among what was observed.* is discrete"):
        maxwell.pymc_model(model)


def test_other_objects_and_data_beside_a_model_are_refused() -> None:
    with pytest.raises(ModelError, match=r"pymc_model was given dict: give a pymc\.Model"):
        maxwell.pymc_model({})
    with pytest.raises(ModelError, match=r"data were given beside a pymc model.*pm\.set_data"):
        maxwell.sample(ZOO["interval"](), {"y": [1]}, progress=False)


def test_a_prior_that_jax_cannot_draw_gives_jittered_starts_and_says_so() -> None:
    with pm.Model() as model:
        x = pm.Flat("x")
        pm.Normal("y", x, 1, observed=[1.0, 2.0])
    with pytest.warns(UserWarning, match=r"start at PyMC's initial point with a jitter.*flat"):
        read = maxwell.pymc_model(model)
    starts = [float(read.target.initial(jax.random.key(k), read.data)["x"]) for k in range(20)]
    assert len(set(starts)) == 20
    assert max(np.abs(starts)) <= 1.0
    assert read.generative is not None
    with pytest.raises(ModelError, match=r"cannot draw from the prior of model .pymc_model."):
        read.generative.prior(jax.random.key(0), read.data)


def test_prior_draws_beside_potentials_are_said_to_take_no_account_of_them() -> None:
    read = maxwell.pymc_model(ZOO["potential"]())
    assert read.generative is not None
    with pytest.warns(UserWarning, match="no account of its potentials"):
        read.generative.prior(jax.random.key(0), read.data)
