"""Diagnostics of every coordinate take the posterior's names where shapes agree, and made-up ones where they do not."""

import numpy as np
import xarray

from workflows.results.diagnostics import labelled

POSTERIOR = xarray.Dataset(
    {
        "mu": (("chain", "draw"), np.zeros((2, 5))),
        "a": (("chain", "draw", "gene"), np.zeros((2, 5, 3))),
        "share": (("chain", "draw", "share_dim_0"), np.zeros((2, 5, 4))),
    },
    {"gene": ["p", "q", "r"], "share_dim_0": np.arange(4)},
)
ARRAYS = {
    "tuning/betas": np.ones(2),
    "diagnostics/rounds": np.array(7),
    "diagnostics/ess/mu": np.array(400.0),
    "diagnostics/ess/a": np.array([1.0, 2.0, 3.0]),
    "diagnostics/ess/share": np.array([4.0, 5.0, 6.0]),
    "diagnostics/rhat/share": np.array([1.0, 1.1, 1.2]),
}


def test_every_site_is_there_with_its_labels() -> None:
    found = labelled(ARRAYS, POSTERIOR)
    assert list(found) == ["mu_ess", "a_ess", "share_ess", "share_rhat"]
    assert found["a_ess"].sel(gene="q") == 2.0
    assert found["mu_ess"].dims == ()


def test_a_simplex_has_fewer_coordinates_than_values() -> None:
    found = labelled(ARRAYS, POSTERIOR)
    assert found["share_rhat"].dims == ("share_dim_0",)
    assert found["share_rhat"].values.tolist() == [1.0, 1.1, 1.2]


def test_there_is_nothing_before_the_first_check() -> None:
    assert len(labelled({"tuning/betas": np.ones(2)}, POSTERIOR)) == 0
