"""Draws are stored in a type that holds their spread: double precision wherever the budget allows it."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import maxwell
from ensemble.store.opening import reader
from workflows.modelling.frontends.numpyro import numpyro_model
from workflows.sampling.problem import find_problem
from workflows.sampling.run_settings import run_settings
from workflows.sampling.store_plan import checkpoint_bytes, narrowed, types, variables
from workflows.settings.loading import make_settings

NOON, NOISE = 2457003.12, 0.002
"""A time of transit in Julian days and its error: single precision has steps of a quarter of a day there."""


def transit(y: jnp.ndarray) -> None:
    time = numpyro.sample("time", dist.Normal(2457003.0, 10.0))
    numpyro.sample("y", dist.Normal(time, NOISE), obs=y)


def many(y: jnp.ndarray) -> None:
    mean = numpyro.sample("mean", dist.Normal(0, 1))
    with numpyro.plate("unit", 2000):
        x = numpyro.sample("x", dist.Normal(mean, 1))
        numpyro.sample("y", dist.Normal(x, 1), obs=y)


def chosen(budget: float) -> tuple[dict[str, str], int, int]:
    """The types of `many` at this budget, how many draws fit, and how many are wanted."""
    model = numpyro_model(many, {"y": np.zeros(2000)})
    settings = make_settings(
        {"model": {"name": "many"}, "store": {"budget_mb": budget}, "ensemble": {"replicas": 16, "superchains": 4}}
    )
    problem = find_problem(model, settings)
    run = run_settings(settings, problem)
    found = types(settings, problem, run.shard)
    posterior = variables(problem, found)["posterior"]
    return {name: v.dtype for name, v in posterior.items()}, run.record.max_draws, settings.goals.draws


@pytest.mark.parametrize(("budget", "plated"), [(100.0, "float64"), (13.0, "float32")])
def test_single_precision_is_for_long_variables_that_would_not_fit(budget: float, plated: str) -> None:
    found, room, wanted = chosen(budget)
    assert found == {"mean": "float64", "x": plated}
    assert room >= wanted


def test_what_is_narrowed_is_said() -> None:
    assert narrowed({}) is None
    said = narrowed({"x": "float32", "mean": "float64"})
    assert said is not None
    assert said.startswith("draws of x are stored in single precision")


def test_a_time_of_transit_keeps_its_spread(tmp_path: Path) -> None:
    """y ~ Normal(time, .002) with a prior as good as flat: the posterior is Normal(y, .002)."""
    run = maxwell.sample(
        transit,
        {"y": np.array(NOON)},
        out=tmp_path / "run.zarr",
        progress=None,
        local=True,
        seed=2,
        goals={"ess": 2000, "shared_ess": 2000},
    )
    stored = reader(run.path)
    times = stored.groups()["posterior"]["time"].values
    # Five standard errors of a standard deviation from the 2000 independent draws that the goals ask for at least, and
    # from those of the mean: false alarms below 1e-6 each.
    assert abs(times.std() / NOISE - 1) < 5 / np.sqrt(2 * 2000)
    assert abs(times.mean() - NOON) < 5 * NOISE / np.sqrt(2000)
    # Nothing is lost on the way into the store: its last draws are the states that the run would go on from.
    checkpoint = stored.last_checkpoint()
    states = np.concatenate([shard["rung/0/position/time"] for shard in checkpoint.shards])
    np.testing.assert_array_equal(times[:, -1], states)


def test_a_checkpoint_is_no_larger_than_the_budget_was_told(tmp_path: Path) -> None:
    """After 63 rounds, all of whose batches wait for their other halves; no more than a third is set aside in vain."""
    rounds = 63
    run = maxwell.sample(
        numpyro_model(many, {"y": np.zeros(2000)}),
        out=tmp_path / "run.zarr",
        progress=None,
        local=True,
        ensemble={"replicas": 8, "superchains": 4},
        scout={"kernel": "none"},
        equilibrate={"max_rounds": 6, "refine_rounds": 2},
        sample={"burn_rounds": 0},
        goals={"ess": 1e7, "shared_ess": 1e7, "draws": 4},
        round={"sweeps": 2},
        limits={"sweeps": 2 * (6 + rounds)},
    )
    folder = sorted((run.path / "checkpoint").iterdir(), key=lambda path: int(path.name))[-1]
    found = sum(file.stat().st_size for file in folder.iterdir())
    settings = make_settings(
        {"model": {"name": "many"}, "ensemble": {"replicas": 8, "superchains": 4}, "scout": {"kernel": "none"}}
    )
    problem = find_problem(numpyro_model(many, {"y": np.zeros(2000)}), settings)
    told = checkpoint_bytes(settings, problem, run_settings(settings, problem).shard)
    assert 2 / 3 * told < found <= told
