"""Moments of NUTS draws against exact ones: many independent chains, a few draws each.

z = (mean over chains of the chain's mean - exact) / (sd over chains / sqrt(chains)). A check fails above 6 standard
errors: two-sided 2e-9 a statistic, times fewer than 25 of them and a factor of 10 for the normal approximation of means
over a thousand chains or more: below 1e-6 a check. A mean off by 0.3 of the sd of single draws is always seen.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kernels.state import LevelView, evaluate
from kernels.structure.discovery import discover
from kernels.target import Site, Target
from kernels.transitions.nuts.sampler import Nuts, NutsParameters

pytestmark = pytest.mark.slow

LIMIT = 6.0
LogDensity = Callable[[jax.Array, Any], jax.Array]


def sample(
    log_density: LogDensity,
    starts: np.ndarray,
    data: Any,
    scale: Any,
    step: float,
    draws: tuple[int, int],
    steepest: float = np.inf,
) -> np.ndarray:
    """Positions [kept, R, d] after (warm-up, kept) draws from the starts [R, d]; steepest: the bound of the force."""
    d = starts.shape[1]
    target = Target(
        {"x": Site("x", (d,))},
        {"p": "likelihood"},
        lambda position, data: {"p": log_density(position["x"], data)},
        lambda position, data: position,
        lambda key, data: {"x": jnp.zeros(d)},
    )
    structure = discover(target, data, {"x": jnp.asarray(starts[0])}, key=jax.random.key(0))
    nuts = Nuts(LevelView(target, structure, structure.level("global")), 7)
    factor = jnp.broadcast_to(jnp.asarray(scale, jnp.float64), (d,))[:, None]
    parameters = NutsParameters(jnp.asarray(1.0), jnp.asarray(step), factor, jnp.asarray(7), jnp.asarray(steepest))

    def one(states: Any, key: jax.Array) -> Any:
        states = nuts.step(jax.random.split(key, starts.shape[0]), states, data, parameters)[0]
        return states, states.position["x"]

    @jax.jit
    def run(positions: jax.Array, data: Any) -> jax.Array:
        states = jax.vmap(lambda x: evaluate(target, structure, {"x": x}, data))(positions)
        return jax.lax.scan(one, states, jax.random.split(jax.random.key(1), sum(draws)))[1]

    return np.asarray(run(jnp.asarray(starts), data))[draws[0] :]


def z_of(values: np.ndarray, exact: Any) -> np.ndarray:
    """values [draws, R, statistics] -> z of each statistic."""
    means = values.mean(axis=0)
    return (means.mean(axis=0) - exact) / (means.std(axis=0) / np.sqrt(means.shape[0]))


def first_and_second(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, x**2], axis=-1)


def assert_moments(values: np.ndarray, exact: Any) -> None:
    """The moments are the exact ones, and would not have passed for others."""
    assert np.abs(z_of(values, exact)).max() < LIMIT, z_of(values, exact)
    off = z_of(values, np.asarray(exact) + 0.3 * values.std(axis=(0, 1)))
    assert np.abs(off).min() > LIMIT, off


def normals(shape: tuple[int, int], scale: Any = 1.0) -> np.ndarray:
    return np.random.default_rng(7).normal(size=shape) * scale


@pytest.mark.parametrize("correlation", [0.0, 0.95])
def test_gaussians_from_dispersed_starts(correlation: float) -> None:
    """Ten coordinates, correlated like an autoregression, sds from 0.5 to 2; starts three times too wide."""
    sds = np.geomspace(0.5, 2.0, 10)
    covariance = np.outer(sds, sds) * correlation ** np.abs(np.subtract.outer(np.arange(10), np.arange(10)))
    precision = jnp.asarray(np.linalg.inv(covariance))
    x = sample(lambda x, p: -0.5 * x @ p @ x, normals((1500, 10), 3 * sds), precision, sds, 0.25, (15, 5))
    products = np.concatenate([first_and_second(x), x[..., :1] * x[..., 1:2]], axis=-1)
    assert_moments(products[..., :-1], np.concatenate([np.zeros(10), sds**2]))
    assert np.abs(z_of(products[..., -1:], covariance[0, 1])).max() < LIMIT


def test_banana() -> None:
    """x1 ~ N(0, 1), x2 given x1 ~ N(x1^2 / 2, 0.5). Some starts lie on slopes that need the bound of the force."""
    x = sample(
        lambda x, _: -0.5 * x[0] ** 2 - 2.0 * (x[1] - 0.5 * x[0] ** 2) ** 2,
        normals((3000, 2), 2.0),
        None,
        1.0,
        0.3,
        (25, 10),
        steepest=2.0,
    )
    values = np.concatenate([first_and_second(x), x[..., :1] ** 2 * x[..., 1:]], axis=-1)
    assert_moments(values, [0.0, 0.5, 1.0, 1.0, 1.5])


def test_mixture() -> None:
    """0.3 N((-1.2, 0), I) + 0.7 N((1.2, 0), diag(0.8, 0.5)^2), whose parts overlap; starts at (-1.2, 0), dispersed."""
    sds = jnp.asarray([0.8, 0.5])

    def log_density(x: jax.Array, _: Any) -> jax.Array:
        left = jnp.log(0.3) - 0.5 * jnp.sum((x - jnp.asarray([-1.2, 0.0])) ** 2)
        right = jnp.log(0.7 / 0.4) - 0.5 * jnp.sum(((x - jnp.asarray([1.2, 0.0])) / sds) ** 2)
        return jnp.logaddexp(left, right)

    x = sample(log_density, normals((3000, 2)) - [1.2, 0.0], None, 1.0, 0.4, (40, 10))
    second = [0.3 * (1 + 1.44) + 0.7 * (0.64 + 1.44), 0.3 + 0.7 * 0.25]
    assert_moments(first_and_second(x), [0.4 * 1.2, 0.0, *second])


Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SDS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
GRID = np.linspace(-14.0, 8.0, 20_001)
"""Eight schools (Rubin 1981): y_j ~ N(theta_j, s_j), theta_j ~ N(mu, tau), mu ~ N(0, 5), tau ~ half-Cauchy(5).
Values of log tau, at which everything else is normal."""


def schools_by_quadrature() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """On the grid: the weights, and the mean and variance of mu given log tau and y.

    p(y | tau) = prod N(y_j; 0, sd_j) N(mu-integral), by completing the square in mu.
    """
    variances = SDS**2 + np.exp(2.0 * GRID)[:, None]
    variance = 1.0 / (1.0 / 25.0 + np.sum(1.0 / variances, axis=1))
    mean = variance * np.sum(Y / variances, axis=1)
    evidence = -0.5 * np.sum(np.log(variances) + Y**2 / variances, axis=1) + 0.5 * np.log(variance)
    log_weight = evidence + 0.5 * mean**2 / variance + GRID - np.log1p(np.exp(2.0 * GRID) / 25.0)
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum(), mean, variance


def school_moments() -> np.ndarray:
    """E of mu, log tau, theta_1 and of their squares."""
    weight, mean, variance = schools_by_quadrature()
    shrink = SDS[0] ** 2 / (SDS[0] ** 2 + np.exp(2.0 * GRID))
    theta = (1.0 - shrink) * Y[0] + shrink * mean
    spread = shrink * np.exp(2.0 * GRID) + shrink**2 * variance
    first = mean, GRID, theta
    second = mean**2 + variance, GRID**2, theta**2 + spread
    return np.array([weight @ values for values in (*first, *second)])


def exact_schools(chains: int) -> np.ndarray:
    """Exact draws of (mu, log tau, theta), [R, 10]."""
    weight, mean, variance = schools_by_quadrature()
    rng = np.random.default_rng(3)
    at = rng.choice(GRID.size, chains, p=weight)
    mu = mean[at] + np.sqrt(variance[at]) * rng.normal(size=chains)
    # Within a cell of the grid the density hardly changes.
    log_tau = GRID[at] + (GRID[1] - GRID[0]) * rng.uniform(-0.5, 0.5, chains)
    tau = np.exp(2.0 * log_tau)[:, None]
    center = (Y * tau + mu[:, None] * SDS**2) / (tau + SDS**2)
    theta = center + np.sqrt(tau * SDS**2 / (tau + SDS**2)) * rng.normal(size=(chains, 8))
    return np.column_stack([mu, log_tau, theta])


def prior(mu: jax.Array, log_tau: jax.Array) -> jax.Array:
    """Of (mu, log tau), the Jacobian in it."""
    return -0.5 * (mu / 5.0) ** 2 + log_tau - jnp.log1p(jnp.exp(2.0 * log_tau) / 25.0)


def centred(q: jax.Array, data: Any) -> jax.Array:
    mu, log_tau, theta = q[0], q[1], q[2:]
    groups = -0.5 * jnp.sum(((theta - mu) * jnp.exp(-log_tau)) ** 2) - 8.0 * log_tau
    return prior(mu, log_tau) + groups - 0.5 * jnp.sum(((data[0] - theta) / data[1]) ** 2)


def non_centred(q: jax.Array, data: Any) -> jax.Array:
    mu, log_tau, z = q[0], q[1], q[2:]
    theta = mu + jnp.exp(log_tau) * z
    return prior(mu, log_tau) - 0.5 * jnp.sum(z**2) - 0.5 * jnp.sum(((data[0] - theta) / data[1]) ** 2)


SCHOOLS = (jnp.asarray(Y), jnp.asarray(SDS))


def test_eight_schools_non_centred_from_dispersed_starts() -> None:
    starts = normals((1000, 10), np.array([10.0, 2.0, *np.full(8, 2.0)]))
    scale = np.array([3.0, *np.ones(9)])
    q = sample(non_centred, starts, SCHOOLS, scale, 0.35, (60, 15), steepest=10.0)
    theta = q[..., 0] + np.exp(q[..., 1]) * q[..., 2]
    assert_moments(first_and_second(np.stack([q[..., 0], q[..., 1], theta], axis=-1)), school_moments())


def test_eight_schools_centred_from_exact_starts() -> None:
    """The funnel of small tau mixes slowly and diverges, but what is exact to begin with must stay so.

    Its power is that of moves: most chains change log tau by more than half its sd within the draws kept.
    """
    starts = exact_schools(2000)
    scale = np.array([3.0, 0.6, *np.full(8, 4.0)])
    q = sample(centred, starts, SCHOOLS, scale, 0.25, (15, 10), steepest=10.0)
    assert np.median(np.abs(q[-1, :, 1] - starts[:, 1])) > 0.5 * starts[:, 1].std()
    assert_moments(first_and_second(q[..., :3]), school_moments())
