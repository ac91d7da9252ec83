"""Parameters of the bond model from its prior, two years of weeks from its equations, posteriors by its shipped sweeps.

The chains are those of tests.calibration: they start at the likeliest of 32 prior draws and adapt to their own
acceptance and covariances. The model's own prior predictions hold each week before as it was observed, so that weeks
are made here, one after the other. Of 50 data sets, 90% intervals are to hold each true value at least 37 times, which
tells gross errors; ranks of the true values in 480 others are uniform (false alarms below 1e-6, see tests.calibration).
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from scipy import stats

from kernels.types import Data, Position
from tests.calibration import Plan, Simulated, Study, calibrated, neighbours, p_values, shifted, simulations, widened
from workflows.models.bond.dynamics import Theta, price_drift, rate_drift
from workflows.models.bond.model import build
from workflows.models.bond.published import DT, FIRST_PRICE, FIRST_RATE, FIRST_WEALTH, LABELS, SHARES
from workflows.settings_kernels import KernelSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "bond.yaml"
WEEKS, DATASETS, NEEDED, SHARE = 104, 50, 37, 0.9
INTERVALS = Plan(sweeps=4, windows=8, rounds=10, kept=200, thin=1, datasets=DATASETS, together=25)
RANKS = Plan(sweeps=4, windows=8, rounds=10, kept=7, thin=2, datasets=480, together=48)


def weeks_of(theta: Theta, noise: jax.Array) -> Position:
    """States of all weeks from standard normals [weeks, 11], by the equations one week after the other."""
    root = np.sqrt(DT)

    def step(state: tuple[jax.Array, ...], e: jax.Array) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
        price, rate, wealth = state
        after = (
            price + price_drift(theta, SHARES, rate, 1.0 / wealth) * DT + theta.sigma * root * e[:9],
            rate + rate_drift(theta, rate) * DT + theta.sigma_r * root * e[9],
            wealth + theta.omega * DT + theta.sigma_w * root * e[10],
        )
        return after, after

    first = (jnp.asarray(FIRST_PRICE), jnp.asarray(FIRST_RATE), jnp.asarray(FIRST_WEALTH))
    later = jax.lax.scan(step, first, noise)[1]
    whole = (jnp.concatenate([start[None], rest]) for start, rest in zip(first, later, strict=True))
    price, rate, wealth = whole
    return {"price": price.T, "rate": rate, "wealth": wealth}


def study(plan: Plan) -> Study:
    """The model with prior draws whose weeks follow from the parameters."""
    model = build(weeks=WEEKS)
    assert model.generative is not None
    original = model.generative.prior

    def prior(key: jax.Array, data: Data) -> tuple[Position, Position]:
        theta_key, noise_key = jax.random.split(key)
        values, _ = original(theta_key, data)
        return values, weeks_of(Theta(**values), jax.random.normal(noise_key, (WEEKS, 11), jnp.float64))

    def quantities(values: Position) -> dict[str, jax.Array]:
        sigma = {f"sigma {label}": values["sigma"][k] for k, label in enumerate(LABELS)}
        return sigma | {name: values[name] for name in Theta._fields if name != "sigma"}

    kernels = KernelSettings(**yaml.safe_load(CONFIG.read_text())["kernels"])
    from_equations = replace(model, generative=model.generative._replace(prior=prior))
    return Study(from_equations, kernels, lambda data, outcomes: {**data, **outcomes}, quantities, plan)


@cache
def simulated(plan: Plan) -> Simulated:
    return simulations(study(plan), seed=1 if plan is INTERVALS else 2)


def inside(truths: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """In how many data sets each quantity [Q] lies in the middle SHARE of its draws."""
    low, high = np.quantile(draws, [(1 - SHARE) / 2, (1 + SHARE) / 2], axis=1)
    return ((low <= truths) & (truths <= high)).sum(axis=0)


def enough(truths: np.ndarray, draws: np.ndarray) -> bool:
    return bool(np.all(inside(truths, draws) >= NEEDED))


def test_how_often_exact_intervals_would_fail() -> None:
    """Binomial: one quantity of 16 lies outside too often with probability 2.9e-4, any with at most 4.6e-3."""
    assert stats.binom.cdf(NEEDED - 1, DATASETS, SHARE) == pytest.approx(2.85e-4, rel=1e-3)


def test_true_values_lie_in_their_intervals() -> None:
    found = simulated(INTERVALS)
    counts = inside(found.truths, found.draws)
    assert np.all(counts >= NEEDED), dict(zip(found.names, counts, strict=True))


@pytest.mark.parametrize("by", [-1.0, 1.0])
def test_intervals_moved_by_an_sd_fail(by: float) -> None:
    found = simulated(INTERVALS)
    assert not enough(found.truths, shifted(found.draws, by))


def test_intervals_of_half_the_width_fail() -> None:
    found = simulated(INTERVALS)
    assert not enough(found.truths, widened(found.draws, 0.5))


def test_ranks_are_uniform() -> None:
    found = simulated(RANKS)
    p = dict(zip(found.names, p_values(found.truths, found.draws), strict=True))
    assert calibrated(found.truths, found.draws), p


@pytest.mark.parametrize("by", [-1 / 3, 1 / 3])
def test_ranks_of_posteriors_shifted_by_a_third_of_their_sd_fail(by: float) -> None:
    found = simulated(RANKS)
    assert not calibrated(found.truths, shifted(found.draws, by))


@pytest.mark.parametrize("by", [2 / 3, 4 / 3])
def test_ranks_of_posteriors_too_narrow_or_too_wide_by_a_third_fail(by: float) -> None:
    found = simulated(RANKS)
    assert not calibrated(found.truths, widened(found.draws, by))


@pytest.mark.parametrize("plan", [INTERVALS, RANKS])
def test_draws_are_nearly_independent(plan: Plan) -> None:
    assert np.abs(neighbours(simulated(plan).draws)).max() < 0.15


@pytest.mark.parametrize("plan", [INTERVALS, RANKS])
def test_the_cells_that_the_chains_kept_are_those_of_their_last_position(plan: Plan) -> None:
    assert simulated(plan).drift < 1e-9
