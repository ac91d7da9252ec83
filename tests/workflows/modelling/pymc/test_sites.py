"""Which dims of a PyMC model are plates, and what a model is called in a store."""

from typing import Any

import jax
import numpy as np
import pytest

pm = pytest.importorskip("pymc", reason="PyMC is an optional extra: pip install 'maxwell[pymc]'")

import maxwell
from kernels.structure.discovery import discover
from tests.support.models.pymc_zoo import ZOO

SITES: dict[str, dict[str, tuple[tuple[int, ...], tuple[str, ...]]]] = {
    "eight_schools_centred": {"mu": ((), ()), "tau": ((), ()), "theta": ((8,), ("school",))},
    "logistic": {"alpha": ((), ()), "beta": ((3,), ())},
    "varying_slopes": {"chol": ((3,), ()), "z": ((6, 2), ("county",)), "sigma": ((), ())},
    "centred_slopes": {"chol": ((3,), ()), "b": ((6, 2), ("county",))},
    "simplex": {"p": ((4, 2), ("site",))},
    "potential": {"x": ((5,), ())},
    "random_walk": {"step": ((), ()), "walk": ((30,), ())},
    "autoregressive": {"rho": ((), ()), "level": ((3, 10), ("series",))},
    "zero_sum": {"effect": ((3,), ())},
    "home_and_away": {"attack": ((4,), ("team of attack",)), "defence": ((4,), ("team of defence",))},
}


@pytest.mark.parametrize("name", sorted(SITES))
def test_a_dim_is_a_plate_where_its_indices_are_independent(name: str) -> None:
    read = maxwell.pymc_model(ZOO[name]())
    assert {site.name: (site.shape, site.plates) for site in read.target.sites.values()} == SITES[name]


@pytest.mark.parametrize("name", sorted(SITES))
def test_the_structure_of_a_run_joins_no_block_of_these_plates(name: str) -> None:
    read = maxwell.pymc_model(ZOO[name]())
    position = read.target.initial(jax.random.key(0), read.data)
    structure = discover(read.target, read.data, position, key=jax.random.key(0))
    assert not [sentence for sentence in structure.joined if "global" not in sentence]


def test_pairs_of_neighbours_stay_a_plate_whose_blocks_are_joined() -> None:
    with pm.Model(coords={"area": range(6)}) as model:
        x = pm.Normal("x", 0, 1, dims="area")
        pm.Potential("pairs", -((x[::2] - x[1::2]) ** 2))
    read = maxwell.pymc_model(model)
    assert read.target.sites["x"].plates == ("area",)
    position = read.target.initial(jax.random.key(0), read.data)
    structure = discover(read.target, read.data, position, key=jax.random.key(0))
    assert [level.n_blocks for level in structure.levels] == [3]


def test_dims_labels_and_data_are_pymcs() -> None:
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "datetime64[D]")
    with pm.Model(coords={"day": days, "kind": [("a", 1), ("b", 2)]}) as model:
        age = pm.Data("age", [1.0, 2.0, 3.0], dims="__obs__")
        effect = pm.Normal("effect", dims=("day", "kind"))
        total = pm.Deterministic("total", effect.sum(axis=1), dims="day")
        pm.Normal("y", total * age, 1, observed=[1.0, 2.0, 3.0], dims="__obs__")
    read = maxwell.pymc_model(model)
    assert read.dims == {
        "effect": ("day", "kind"),
        "total": ("day",),
        "y": ("obs",),
        "age": ("obs",),
    }
    assert read.coords["day"].tolist() == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert read.coords["kind"].tolist() == ["('a', 1)", "('b', 2)"]
    assert read.observed["y"].tolist() == [1.0, 2.0, 3.0]
    assert read.constant["age"].tolist() == [1.0, 2.0, 3.0]


def test_variables_keep_the_order_in_which_they_were_written() -> None:
    read = maxwell.pymc_model(ZOO["eight_schools_centred"]())
    assert list(read.target.sites) == ["mu", "tau", "theta"]
    kinds: dict[str, Any] = dict(read.target.term_kinds)
    assert kinds == {"mu": "prior", "tau": "prior", "theta": "prior", "y": "likelihood"}
