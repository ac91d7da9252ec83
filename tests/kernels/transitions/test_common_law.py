"""The law that blocks have in common: its density, draws from it, and a step of Metropolis that draws a coordinate."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from kernels.transitions.common_law import BINS, MASSES, NOTHING, PROBABILITIES, draw, log_density, quantiles
from kernels.transitions.metropolis import Metropolis, MetropolisParameters
from tests.support.harness import check_kernel, view

KNOTS = np.sort(np.random.default_rng(0).standard_t(1.5, BINS + 1))


def test_the_density_integrates_to_one() -> None:
    x = np.concatenate([np.linspace(a, b, 101)[:-1] + (b - a) / 200 for a, b in pairwise(KNOTS)])
    widths = np.repeat(np.diff(KNOTS) / 100, 100)
    density = np.exp(np.asarray(log_density(jnp.asarray(KNOTS), jnp.asarray(x))))
    assert np.isclose(np.sum(density * widths), 1.0, atol=1e-12)
    beyond = log_density(jnp.asarray(KNOTS), jnp.array([KNOTS[0] - 1e-9, KNOTS[-1] + 1e-9]))
    assert np.all(np.asarray(beyond) == NOTHING)


def test_draws_are_from_the_density() -> None:
    """By its distribution function, with a false alarm in 1e7 (Kolmogorov and Smirnov)."""
    uniform = jax.random.uniform(jax.random.key(1), (100_000,), jnp.float32)
    found = np.asarray(draw(jnp.asarray(KNOTS), uniform))
    heights = np.concatenate([[0.0], np.cumsum(MASSES)])
    assert stats.kstest(found, lambda x: np.interp(x, KNOTS, heights)).pvalue > 1e-7


def test_knots_are_quantiles_over_replicas_and_blocks() -> None:
    values = np.random.default_rng(2).normal(size=(4, 3, 500))
    expected = [np.quantile(values[:, i], PROBABILITIES) for i in range(3)]
    np.testing.assert_allclose(quantiles(jnp.asarray(values)), expected, rtol=1e-12)


@pytest.mark.parametrize(("coordinate", "share"), [(-1, 1.0), (0, 1.0), (1, 0.6)])
def test_a_step_that_draws_a_coordinate_is_exact(coordinate: int, share: float) -> None:
    """Metropolis on the groups of the harness's hierarchy, with a law of coordinates that is nothing like theirs, and
    in some groups their own moves."""
    shape = view("group").level.width, view("group").level.n_blocks
    knots = jnp.linspace(-2.0, 3.0, BINS + 1) ** 3 / 4.0
    parameters = MetropolisParameters(
        jnp.asarray(1.0),
        jnp.full(shape[1], -0.3),
        jnp.zeros(shape),
        jnp.ones(shape),
        jnp.full(shape[1], 0.4),
        jnp.asarray(coordinate),
        knots,
        jnp.full(shape[1], share),
    )
    report = check_kernel(f"common law {coordinate}", Metropolis(view("group")), parameters)
    assert report.passed, report
