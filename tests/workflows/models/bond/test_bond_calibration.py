"""Parameters of the bond model from its prior, two years of weeks from its equations: how often intervals hold them.

The chains are those of tests.support.calibration: they start at the likeliest of 32 prior draws and adapt to their own
acceptance and covariances. Of 50 data sets, 90% intervals are to hold each true value at least 37 times, which tells
gross errors; ranks of the true values in 480 others are tested with those of the other models.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from tests.support.calibration import (
    Plan,
    Simulated,
    require_nearly_independent,
    shifted,
    shipped,
    simulations,
    widened,
)
from tests.support.models.bond_study import bond_study

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

DATASETS, NEEDED, SHARE = 50, 37, 0.9
PLAN = Plan(sweeps=4, windows=8, rounds=10, kept=200, thin=1, datasets=DATASETS, together=25)


@cache
def simulated() -> Simulated:
    return simulations(bond_study(PLAN, shipped("bond")), seed=1)


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
    found = simulated()
    counts = inside(found.truths, found.draws)
    assert np.all(counts >= NEEDED), dict(zip(found.names, counts, strict=True))


@pytest.mark.parametrize("by", [-1.0, 1.0])
def test_intervals_moved_by_an_sd_fail(by: float) -> None:
    found = simulated()
    assert not enough(found.truths, shifted(found.draws, by))


def test_intervals_of_half_the_width_fail() -> None:
    found = simulated()
    assert not enough(found.truths, widened(found.draws, 0.5))


def test_draws_are_nearly_independent() -> None:
    require_nearly_independent(simulated())


def test_the_cells_that_the_chains_kept_are_those_of_their_last_position() -> None:
    assert simulated().drift < 1e-9
