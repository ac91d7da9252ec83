"""The descent ends within the bulk of densities that have one near, and stops on slopes that lead to no bulk."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from kernels.numerics.descent import descended

Density = Callable[[jax.Array], jax.Array]


def end_of(function: Density, start: np.ndarray) -> np.ndarray:
    return np.asarray(jax.jit(lambda x: descended(function, x))(jnp.asarray(start, jnp.float64)))


def gaussian(mean: np.ndarray, sds: np.ndarray) -> Density:
    return lambda x: 0.5 * jnp.sum(((x - mean) / sds) ** 2)


def outlying(d: int) -> float:
    """The squared distance in standard deviations that one draw in 1,000 exceeds."""
    return float(stats.chi2(d).isf(1e-3))


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(("d", "ratio"), [(1, 1.0), (2, 1.0), (2, 1e4), (10, 1.0), (10, 10.0), (100, 1.0)])
def test_a_start_a_million_standard_deviations_off_arrives_in_the_bulk(d: int, ratio: float, unit: float) -> None:
    """ratio: of the largest to the smallest standard deviation."""
    rng = np.random.default_rng(d)
    sds = unit * np.geomspace(1.0, ratio, d)
    mean = 3.0 * sds
    start = mean + 1e6 * sds * rng.choice([-1, 1], d) * rng.uniform(0.5, 1.0, d)
    found = end_of(gaussian(mean, sds), start)
    assert np.sum(((found - mean) / sds) ** 2) < outlying(d)


@pytest.mark.parametrize("seed", range(5))
def test_correlated_coordinates_arrive_from_a_thousand_standard_deviations(seed: int) -> None:
    """A covariance of condition 10,000 in 30 dimensions: of the million times d / 2 that the start is below the mode,
    less than a ten-thousandth is left. Where in the last of it the descent ends is a matter of rounding."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    factor = rotation * np.geomspace(0.1, 10.0, 30)
    inverse = np.linalg.inv(factor)
    start = 1e3 * rng.normal(size=30)
    found = end_of(lambda x: 0.5 * jnp.sum((inverse @ x) ** 2), factor @ start)
    assert np.sum((inverse @ found) ** 2) < 1e-4 * np.sum(start**2)


def test_it_ends_at_the_edge_and_not_at_the_mode() -> None:
    """A start within the bulk goes a few steps at most: three that gain less than 2 + sqrt(d) each."""
    d = 400
    start = np.random.default_rng(1).normal(size=d) * np.geomspace(0.1, 10.0, d)
    density = gaussian(np.zeros(d), np.geomspace(0.1, 10.0, d))
    before, after = float(density(start)), float(density(end_of(density, start)))
    assert after <= before
    assert before < 0.5 * outlying(d)
    assert after > 0.1 * d


def _funnel(x: jax.Array) -> jax.Array:
    """Neal's: minus the log density of v = x[0] ~ N(0, 3), x[i] ~ N(0, e^(v / 2)). It has no mode: it falls without end
    in the neck, where the x are 0 and v goes down."""
    v, n = x[0], x.size - 1
    return 0.5 * (v / 3.0) ** 2 + 0.5 * n * v + 0.5 * jnp.exp(-v) * jnp.sum(x[1:] ** 2)


@pytest.mark.parametrize("n", [9, 50])
@pytest.mark.parametrize("v", [-6.0, 0.0, 6.0])
def test_it_stops_on_the_slope_of_a_funnel(n: int, v: float) -> None:
    """v ends where the x of the start have it, about log mean x^2 = 6, and not in the neck at -4.5 n."""
    found = end_of(_funnel, np.concatenate([[v], np.full(n, 20.0)]))
    assert 4.0 < found[0] < 8.0


def test_it_stops_on_the_slope_of_a_hierarchy_whose_scale_has_no_lower_bound() -> None:
    """y_i ~ N(x_i, 1), x_i ~ N(m, e^s), flat m and s: the density grows without end as s falls and x_i = m."""
    y = jnp.asarray(np.random.default_rng(2).normal(0.0, np.sqrt(2.0), 50))

    def density(p: jax.Array) -> jax.Array:
        m, s, x = p[0], p[1], p[2:]
        return 0.5 * jnp.sum((y - x) ** 2) + 0.5 * jnp.exp(-2 * s) * jnp.sum((x - m) ** 2) + 50 * s

    for seed in range(5):
        start = np.concatenate([[5.0, 1.0], np.random.default_rng(seed).normal(0.0, 10.0, 50)])
        found = end_of(density, start)
        assert -2.0 < found[1] < 3.0
        assert float(density(jnp.asarray(found))) < float(density(jnp.asarray(start))) - 100.0


def test_a_wild_regression_arrives() -> None:
    """y = -61,000 + 1,260 x + N(0, 19,000) with the log of the scale, from a box about 0, where the log density is
    some 1e10 below the bulk's. What is left, at most that of a fit without slope, is for trajectories to climb."""
    rng = np.random.default_rng(3)
    x = np.linspace(0.0, 50.0, 40)
    y = -61_000 + 1_260 * x + rng.normal(0.0, 19_000, 40)

    def density(p: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum((y - p[0] - p[1] * x) ** 2) * jnp.exp(-2.0 * p[2]) + 40 * p[2]

    design = np.stack([np.ones(40), x], axis=1)
    fit, squares, *_ = np.linalg.lstsq(design, y)
    best = float(density(jnp.asarray([*fit, 0.5 * np.log(squares[0] / 40)])))
    without = float(density(jnp.asarray([0.0, 0.0, 0.5 * np.log(np.mean(y**2))])))
    for seed in range(5):
        start = np.random.default_rng(seed).uniform(-2.0, 2.0, 3)
        found = float(density(jnp.asarray(end_of(density, start))))
        assert best <= found < without + 1.0
        assert float(density(jnp.asarray(start))) > 1e8


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_a_start_without_a_finite_value_stays(lost: float) -> None:
    def density(x: jax.Array) -> jax.Array:
        return jnp.where(x[0] > 5.0, lost, jnp.sum(x**2))

    start = np.array([6.0, 1.0])
    np.testing.assert_array_equal(end_of(density, start), start)


def test_steps_that_leave_the_support_are_shortened() -> None:
    """x > 0 with density x^2 e^-x: far up the slope is even, and the curvature there leads far beyond the edge, where
    the log is NaN."""
    found = end_of(lambda x: jnp.sum(x - 2.0 * jnp.log(x)), np.full(3, 1e3))
    assert np.all((found > 0.05) & (found < 20.0))


def test_a_cliff_is_no_trap() -> None:
    """Infinite beyond a wall towards which the slope leads: it ends at the foot of the wall."""
    found = end_of(lambda x: jnp.where(x[0] < 1.0, jnp.inf, jnp.sum(x**2)), np.array([1e3, 1e3]))
    assert 1.0 <= found[0] < 10.0


def test_a_flat_start_stays() -> None:
    start = np.array([1.0, 2.0])
    np.testing.assert_array_equal(end_of(lambda x: jnp.sum(0.0 * x), start), start)


def test_it_can_be_mapped_over_starts() -> None:
    starts = np.random.default_rng(4).normal(0.0, 100.0, (5, 3))
    density = gaussian(np.zeros(3), np.array([1.0, 2.0, 3.0]))
    many = jax.jit(jax.vmap(lambda x: descended(density, x)))(jnp.asarray(starts))
    each = np.stack([end_of(density, start) for start in starts])
    np.testing.assert_allclose(many, each, rtol=1e-9, atol=1e-9)
