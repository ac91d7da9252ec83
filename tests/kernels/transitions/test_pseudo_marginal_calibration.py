"""Simulation-based calibration of every pseudo-marginal kernel, by the sweeps of a run (see tests.support.calibration).

mu, log sd and each u from their prior; of the samples of an individual one, at random, makes its y: then u given theta
and the data has the law in which a chain must leave it. Ranked are theta and the log likelihood, which is the log
estimate at that u. False alarms are below 1e-6 a test.
"""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import pytest

from kernels.dynamics import splitting
from kernels.types import Data, Position
from tests.kernels.transitions.test_pseudo_marginal_exact import wrong_flows
from tests.support.calibration import (
    Plan,
    Simulated,
    Study,
    calibrated,
    require_nearly_independent,
    require_uniform_ranks,
    shifted,
    simulations,
    widened,
)
from tests.support.harness import LOG_SD
from tests.support.models.pseudo_marginal_models import SAMPLES, effects, groups
from workflows.modelling.model import Generative
from workflows.settings.sections.kernels import KernelSettings

pytestmark = pytest.mark.slow

THIN = {"pm_metropolis": 60, "correlated": 60}
"""Rounds of four sweeps between draws that are ranked; of trajectories and of theta given u it is 8."""

SETTINGS = {
    "pm_hmc": KernelSettings(levels={"global": "pm_hmc"}),
    "pm_nuts": KernelSettings(levels={"global": "pm_nuts"}),
    "joint pm_nuts": KernelSettings(levels={"global": "pm_nuts"}, joint_turning=True),
    "pm_metropolis": KernelSettings(levels={"global": "pm_metropolis"}),
    "correlated": KernelSettings(levels={"global": "pm_metropolis"}, correlation=0.9),
    "refreshes and hmc": KernelSettings(levels={"global": "hmc"}),
    "refreshes and metropolis": KernelSettings(levels={"global": "metropolis"}),
}


def study(name: str) -> Study:
    """The model `groups`, with draws of the joint law of theta, u and y."""
    model = groups()
    (individuals,) = model.data["y"].shape

    def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
        theta_key, u_key, pick_key, y_key = jax.random.split(key, 4)
        mu, log_sd = jax.random.normal(theta_key, (2,), jnp.float64)
        u = jax.random.normal(u_key, (individuals, SAMPLES, 1), jnp.float64)
        values = {"mu": mu, "log_sd": LOG_SD * log_sd, "u": u}
        picked = jax.random.randint(pick_key, (individuals, 1), 0, SAMPLES)
        behind = jnp.take_along_axis(effects(values, u), picked, axis=1)[:, 0]
        return values, {"y": behind + jax.random.normal(y_key, (individuals,), jnp.float64)}

    def unused(*arguments: object) -> Position:
        raise NotImplementedError

    able = Generative(unused, unused, prior, lambda values, data: dict(values), {})
    plan = Plan(sweeps=4, windows=8, rounds=10, kept=7, thin=THIN.get(name, 8), datasets=1600, together=400)
    return Study(
        replace(model, generative=able),
        SETTINGS[name],
        lambda data, outcomes: {**data, **outcomes},
        lambda values: {"mu": values["mu"], "log_sd": values["log_sd"]},
        plan,
    )


@cache
def simulated(name: str) -> Simulated:
    return simulations(study(name), seed=3)


@pytest.mark.parametrize("name", SETTINGS)
def test_ranks_are_uniform(name: str) -> None:
    require_uniform_ranks(simulated(name))


@pytest.mark.parametrize("name", SETTINGS)
def test_the_draws_that_are_ranked_are_nearly_independent(name: str) -> None:
    require_nearly_independent(simulated(name))


@pytest.mark.parametrize("name", SETTINGS)
def test_wrong_posteriors_fail(name: str) -> None:
    """Shifted by a third of their sd; too narrow by a third."""
    found = simulated(name)
    assert not calibrated(found.truths, shifted(found.draws, 1 / 3))
    assert not calibrated(found.truths, widened(found.draws, 2 / 3))


@pytest.mark.parametrize("name", SETTINGS)
def test_cells_are_kept_up_to_date(name: str) -> None:
    """Those that a chain has kept through all its moves are those of its last position computed anew."""
    assert simulated(name).drift < 1e-9


def test_a_rotation_by_the_updated_u_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "harmonic_flows", wrong_flows)
    found = simulations(study("pm_hmc"), seed=3)
    assert not calibrated(found.truths, found.draws)
