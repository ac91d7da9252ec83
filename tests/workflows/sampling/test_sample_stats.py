"""What a run stores of its chains, by the names of ArviZ's schema, and how divergences are told."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import arviz as az
import numpy as np
import pytest

from maxwell import open_run, run
from workflows.results.inspect import inspect_store
from workflows.results.inspect_text import render
from workflows.results.report.verdicts import verdicts

SETTINGS: dict[str, Any] = {
    "ensemble": {"replicas": 16, "superchains": 4, "workers": 1},
    "round": {"sweeps": 4},
    "kernels": {"max_depth": 7},
    "scout": {"kernel": "none", "max_rounds": 8},
    "equilibrate": {"max_rounds": 20},
    "sample": {"burn_rounds": 1},
    "goals": {"ess": 1e6, "shared_ess": 1e6, "draws": 1000},
    "limits": {"sweeps": 200},
}
TRAJECTORIES = {"diverging", "energy", "n_steps", "step_size", "tree_depth"}


@cache
def sampled(model: str, kernel: str) -> Path:
    """The store of a short run of a model with one kernel on all of it."""
    store = Path(mkdtemp()) / f"{model}.zarr"
    level = "whole" if kernel == "nuts" else "global"
    changes = [f"model.name=tests.support.funnels:{model}", f"kernels.levels.{level}={kernel}"]
    run(SETTINGS, changes, out=store, local=True)
    return store


def stats(model: str, kernel: str, group: str = "sample_stats") -> Any:
    return open_run(sampled(model, kernel)).data[group]


@pytest.mark.parametrize("group", ["sample_stats", "warmup_sample_stats"])
def test_what_the_kernels_know_is_stored_of_every_chain_and_draw(group: str) -> None:
    found = stats("normal", "nuts", group)
    assert set(found.data_vars) == {"lp", "replica", "acceptance_rate", *TRAJECTORIES}
    assert {found[name].dtype.kind for name in ("n_steps", "tree_depth")} == {"i"}
    assert found["diverging"].dtype == bool
    assert all(found[name].dims == ("chain", "draw") for name in found.data_vars)
    # The first round of a run has trajectories of no length.
    moved = found.isel(draw=slice(1, None)) if group.startswith("warmup") else found
    assert (moved["n_steps"] >= 1).all()
    assert ((moved["acceptance_rate"] > 0) & (moved["acceptance_rate"] <= 1)).all()
    assert float(moved["acceptance_rate"].std("chain").mean()) > 0
    assert ((moved["tree_depth"] >= 1) & (moved["tree_depth"] <= SETTINGS["kernels"]["max_depth"])).all()


def test_metropolis_has_no_trajectories() -> None:
    found = stats("normal", "metropolis")
    assert set(found.data_vars) == {"lp", "replica", "acceptance_rate"}
    assert inspect_store(sampled("normal", "metropolis"))["divergences"] == {}


def test_the_step_size_is_frozen_in_sample() -> None:
    assert len(np.unique(stats("normal", "nuts")["step_size"])) == 1


def test_energies_serve_arviz() -> None:
    data = open_run(sampled("normal", "nuts")).data
    found = az.bfmi(data)
    # An array by chain before ArviZ 1, a dataset since.
    assert np.isfinite(np.asarray(found["energy"] if hasattr(found, "data_vars") else found, float)).all()
    # H = -lp + a kinetic energy of mean d / 2, with lp that of the round's last states.
    energy, lp = (np.asarray(data["sample_stats"][name], float) for name in ("energy", "lp"))
    np.testing.assert_allclose((energy + lp).mean(), 5.0, atol=0.5)
    assert (energy + lp > -1e-6).all()
    assert np.isfinite(az.summary(data, round_to="none").to_numpy(float)).all()


def test_a_funnel_diverges_and_says_so() -> None:
    store = sampled("funnel", "nuts")
    told = inspect_store(store)
    counted = told["divergences"]["sample"]
    assert 0 < counted["diverging"] < counted["trajectories"]
    assert bool(stats("funnel", "nuts")["diverging"].any())
    assert f"{counted['diverging']:,} of {counted['trajectories']:,} trajectories in sample" in render(told)
    assert "Divergences" in {verdict.subject for verdict in verdicts(told) if verdict.judgement == "missed"}


def test_a_normal_law_does_not() -> None:
    told = inspect_store(sampled("normal", "nuts"))
    expected = told["stages"]["sample"]["sweeps"] * told["chains"]
    assert told["divergences"]["sample"] == {"diverging": 0, "trajectories": expected}
    assert not bool(stats("normal", "nuts")["diverging"].any())
