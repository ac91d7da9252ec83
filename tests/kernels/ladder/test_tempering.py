"""Swaps, ladders, round trips and evidence against closed forms and full enumeration; statistical tests say their odds.

Truths: isotropic Gaussians, whose energies at inverse temperature beta are Gamma(d / 2) / beta; a conjugate Gaussian
model and mixtures of two modes, whose evidence is known and whose tempered laws can be drawn from exactly.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import betainc, gammaln

from kernels.ladder import evidence, round_trips, tempering
from kernels.ladder import schedule as ladder
from kernels.ladder.evidence import Stones, log_evidence
from tests.kernels.transitions.test_finite_space import (
    BETA_HOT,
    EXACT,
    GRID,
    LOG_MASS,
    LOG_PI,
    assert_reversible,
    law,
    swap_matrix,
)

DIMENSION = 10
GEOMETRIC = np.geomspace(1.0, 0.1, 8)
ALARM = 6.0
"""Standard errors, from 64 or more independent ladders: a false alarm is rarer than 1e-7 by Student's t."""


# Pairs and the rule.


@pytest.mark.parametrize("rungs", [2, 3, 6, 7])
def test_pairs_alternate(rungs: int) -> None:
    """Even rounds begin at the cold end, odd ones a rung higher; the round may be traced."""
    traced = jax.jit(tempering.pairs, static_argnums=1)
    for round_ in range(4):
        tried = np.flatnonzero(traced(round_, rungs))
        assert list(tried) == list(range(round_ % 2, rungs - 1, 2))


def test_a_ladder_of_one_rung_is_refused() -> None:
    for call in (tempering.pairs, ladder.round_trips_all_accepted):
        with pytest.raises(ValueError, match="at least 2"):
            call(0, 1)
    with pytest.raises(ValueError, match="at least 2"):
        round_trips.first_trips(jnp.zeros(1, int), 1)


def test_exchanges_are_their_own_inverse() -> None:
    order = tempering.exchanged(jnp.asarray([True, False, False, True, False]))
    np.testing.assert_array_equal(order, [1, 0, 2, 4, 3, 5])
    np.testing.assert_array_equal(order[order], np.arange(6))


def test_log_ratio_is_that_of_the_joint_density() -> None:
    """Whatever is not tempered (here a prior) cancels."""
    (b_a, b_b), (l_a, l_b), (p_a, p_b) = (0.9, 0.2), (-3.0, -7.5), (-1.0, -20.0)
    before = p_a + b_a * l_a + p_b + b_b * l_b
    after = p_b + b_a * l_b + p_a + b_b * l_a
    assert tempering.swap_log_ratio(*map(jnp.asarray, (b_a, b_b, l_a, l_b))) == pytest.approx(after - before)


def test_points_outside_the_support_stay_hot() -> None:
    """A prior draw of likelihood 0 is never taken by a colder rung; two of them do not swap; both are counted."""
    betas = jnp.asarray([1.0, 0.5, 0.0])
    for energies, round_ in (([0.0, -1.0, -jnp.inf], 1), ([0.0, -jnp.inf, -jnp.inf], 1)):
        order, swaps = tempering.swap(jax.random.key(0), round_, betas, jnp.asarray(energies))
        np.testing.assert_array_equal(order, [0, 1, 2])
        np.testing.assert_array_equal(swaps.acceptance_probability, [0.0, 0.0])
        assert swaps.nonfinite == 1


# Full enumeration on the grid of test_finite_space.


def swap_acceptance(energy: np.ndarray, betas: list[float]) -> np.ndarray:
    """Probability that each pair of neighbours swaps, [n, ..., n, R - 1] over the points of the rungs, as reported."""

    def one(points: jax.Array, round_: int) -> jax.Array:
        return tempering.swap(jax.random.key(0), round_, jnp.asarray(betas), jnp.asarray(energy)[points])[
            1
        ].acceptance_probability

    points = jnp.asarray(list(product(range(GRID.size), repeat=len(betas))))
    tables = [jax.vmap(partial(one, round_=round_))(points) for round_ in (0, 1)]
    return np.asarray(tables[0] + tables[1]).reshape((GRID.size,) * len(betas) + (len(betas) - 1,))


def normalised(log_mass: np.ndarray) -> np.ndarray:
    return np.exp(log_mass) / np.exp(log_mass).sum()


def likelihood_tempered(beta: float) -> np.ndarray:
    """The parabola is the prior, the rest of the log mass the log likelihood."""
    return normalised(-0.1 * GRID**2 + beta * LOG_MASS)


def test_swap_of_whole_densities_is_reversible() -> None:
    acceptance = swap_acceptance(LOG_PI, [1.0, BETA_HOT])[..., 0]
    assert acceptance.min() < 0.9
    assert_reversible(np.kron(law(1.0), law(BETA_HOT)), swap_matrix(acceptance))


@pytest.mark.parametrize("beta", [BETA_HOT, 0.0])
def test_swap_of_likelihoods_is_reversible(beta: float) -> None:
    matrix = swap_matrix(swap_acceptance(LOG_MASS, [1.0, beta])[..., 0])
    assert_reversible(np.kron(likelihood_tempered(1.0), likelihood_tempered(beta)), matrix)


def wrong_energy() -> np.ndarray:
    """The whole density's energy where the likelihood alone is tempered."""
    return swap_acceptance(LOG_PI, [1.0, BETA_HOT])[..., 0]


def without_temperatures() -> np.ndarray:
    """p(hot point) / p(cold point), as if the cold side alone decided."""
    return np.minimum(1.0, np.exp(LOG_MASS[None] - LOG_MASS[:, None] - 0.1 * (GRID[None] ** 2 - GRID[:, None] ** 2)))


@pytest.mark.parametrize("wrong", [wrong_energy, without_temperatures])
def test_wrong_rules_have_another_law(wrong: Callable[[], np.ndarray]) -> None:
    pair = np.kron(likelihood_tempered(1.0), likelihood_tempered(BETA_HOT))
    assert np.abs(pair @ swap_matrix(wrong()) - pair).max() > 1e-3


def test_even_and_odd_rounds_of_three_rungs_keep_their_law() -> None:
    """An even, then an odd round: the product law stays, without detailed balance of the two together."""
    betas, n = [1.0, 0.6, BETA_HOT], GRID.size
    acceptance = swap_acceptance(LOG_PI, betas)
    points = np.asarray(list(product(range(n), repeat=3)))
    rounds = []
    for pair in range(2):
        order = np.asarray(tempering.exchanged(jnp.arange(2) == pair))
        target = np.ravel_multi_index(tuple(points[:, order].T), (n,) * 3)
        matrix = np.zeros((n**3, n**3))
        matrix[np.arange(n**3), target] = acceptance[..., pair].ravel()
        np.fill_diagonal(matrix, 0.0)
        rounds.append(matrix + np.diag(1.0 - matrix.sum(axis=1)))
    joint = np.kron(np.kron(law(betas[0]), law(betas[1])), law(betas[2]))
    for matrix in rounds:
        assert_reversible(joint, matrix)
    both = rounds[0] @ rounds[1]
    assert np.abs(joint @ both - joint).max() < EXACT
    flow = joint[:, None] * both
    assert np.abs(flow - flow.T).max() > 1e-4


# Ladders of isotropic Gaussians.


def gaussian_rejections(betas: np.ndarray) -> np.ndarray:
    """1 - 2 P(E_cold > E_hot), with E_cold / (E_cold + E_hot) made of Gamma(d / 2) / beta: a Beta(d / 2, d / 2) law.

    The mean of min(1, ratio) is twice the probability of a ratio above 1, because a swap exchanges the two sides.
    """
    share = betas[:-1] / (betas[:-1] + betas[1:])
    return 2.0 * betainc(DIMENSION / 2, DIMENSION / 2, share) - 1.0


def gaussian_local_barrier(beta: float) -> float:
    """Half the mean distance of two energies at beta: Gamma(d / 2 + 1 / 2) / (sqrt(pi) Gamma(d / 2) beta)."""
    return float(np.exp(gammaln((DIMENSION + 1) / 2) - gammaln(DIMENSION / 2)) / (np.sqrt(np.pi) * beta))


def gaussian_energies(key: jax.Array, betas: np.ndarray) -> jax.Array:
    """Log densities -|x|^2 / 2 of independent draws, one a rung."""
    x = jax.random.normal(key, (betas.size, DIMENSION)) / np.sqrt(betas)[:, None]
    return -0.5 * jnp.sum(x**2, axis=1)


def run_gaussians(ladders: int, rounds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Swap rounds with energies drawn anew: (sums of acceptance, tries, round trips), a row for each ladder."""
    betas, rungs = jnp.asarray(GEOMETRIC), GEOMETRIC.size

    def body(carry: Any, round_: jax.Array) -> Any:
        key, walkers, trips, accepted, tried = carry
        energy_key, swap_key = jax.random.split(jax.random.fold_in(key, round_))
        order, swaps = tempering.swap(swap_key, round_, betas, gaussian_energies(energy_key, GEOMETRIC))
        trips = round_trips.update(trips, round_trips.rung_of_walkers(walkers[order]), rungs)
        return (key, walkers[order], trips, accepted + swaps.acceptance_probability, tried + swaps.tried), None

    def one(key: jax.Array) -> Any:
        start = (jnp.arange(rungs), round_trips.first_trips(jnp.arange(rungs), rungs))
        carry = (key, *start, jnp.zeros(rungs - 1), jnp.zeros(rungs - 1, int))
        (_, _, trips, accepted, tried), _ = jax.lax.scan(body, carry, jnp.arange(rounds))
        return accepted, tried, trips.finished.sum()

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(3), ladders))
    return tuple(np.asarray(values) for values in found)


def assert_near(values: np.ndarray, truth: np.ndarray | float) -> None:
    """The mean over the first axis is the truth within ALARM standard errors."""
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - truth) < ALARM * error).all(), (values.mean(axis=0), truth, error)


def test_rejections_and_round_trips_of_gaussians() -> None:
    """Every pair's rejection and the rate of round trips equal their closed forms, from exact draws."""
    rounds = 1500
    accepted, tried, trips = run_gaussians(64, rounds)
    np.testing.assert_array_equal(tried, rounds // 2)
    truth = gaussian_rejections(GEOMETRIC)
    assert 0.2 < truth.min() < truth.max() < 0.5
    assert_near(ladder.rejections(accepted, tried), truth)
    # The trip that a walker is on when the run begins is not counted: at most one a walker is missing.
    slack = GEOMETRIC.size / rounds
    rates = trips / rounds
    error = rates.std(ddof=1) / np.sqrt(len(rates))
    assert abs(rates.mean() - ladder.round_trip_rate(truth)) < ALARM * error + slack
    assert ALARM * error + slack < 0.15 * rates.mean()


def test_barrier_of_gaussians() -> None:
    """On a fine ladder Lambda is the integral of the local barrier, which falls as 1 / beta."""
    betas = np.geomspace(1.0, 0.1, 257)
    rejections = gaussian_rejections(betas)
    scale = gaussian_local_barrier(1.0)
    assert ladder.communication_barrier(rejections) == pytest.approx(scale * np.log(10.0), rel=1e-4)
    curve = ladder.cumulative_barrier(betas, rejections)
    inside = np.geomspace(0.11, 0.9, 20)
    np.testing.assert_allclose(curve(inside), scale * np.log(inside / 0.1), rtol=1e-4)
    np.testing.assert_allclose(curve.derivative()(inside), scale / inside, rtol=1e-3)


def test_equal_rejections_are_reached_and_kept() -> None:
    """From betas in equal steps the schedule turns geometric, on which Gaussians reject equally; the ends stay."""
    betas = np.linspace(1.0, 0.1, 8)
    assert np.ptp(gaussian_rejections(betas)) > 0.3
    for _ in range(30):
        betas = ladder.adapted_betas(betas, gaussian_rejections(betas))
        assert (betas[0], betas[-1]) == (1.0, 0.1)
    np.testing.assert_allclose(betas, GEOMETRIC, rtol=1e-8)
    assert np.ptp(gaussian_rejections(betas)) < 1e-8


def test_a_broken_ladder_recovers() -> None:
    """Rejections that saturate at 1 hide how far apart the rungs are: several rounds repair that."""
    betas = np.concatenate([np.linspace(1.0, 0.999, 7), [1e-3]])
    for _ in range(60):
        betas = ladder.adapted_betas(betas, gaussian_rejections(betas))
        assert (np.diff(betas) < 0).all()
    np.testing.assert_allclose(betas, np.geomspace(1.0, 1e-3, 8), rtol=1e-6)


def test_rejections_of_zero_and_one_and_unknown() -> None:
    betas = np.array([1.0, 0.7, 0.3, 0.0])
    unknown = ladder.rejections(np.array([1.0, 0.0, 0.0]), np.array([4, 4, 0]))
    np.testing.assert_array_equal(unknown, [0.75, 1.0, np.nan])
    assert np.isnan(ladder.communication_barrier(unknown))
    assert np.isnan(ladder.round_trip_rate(unknown))
    np.testing.assert_array_equal(ladder.adapted_betas(betas, unknown), betas)
    np.testing.assert_array_equal(ladder.adapted_betas(betas, np.zeros(3)), betas)
    assert ladder.round_trip_rate(np.array([0.5, 1.0, 0.0])) == 0.0
    assert ladder.round_trip_rate(np.zeros(3)) == 0.5
    free = ladder.adapted_betas(betas, np.array([0.0, 1.0, 0.0]))
    assert (np.diff(free) < 0).all()
    assert ((free[1:3] >= 0.3) & (free[1:3] <= 0.7)).all()
    with pytest.raises(ValueError, match="never tried"):
        ladder.cumulative_barrier(betas, unknown)


@pytest.mark.parametrize(
    ("betas", "rejections", "message"),
    [([1.0], [], "2 or more"), ([1.0, 1.0], [0.1], "fall strictly"), ([1.0, 0.5], [0.1, 0.1], "one a neighbour")],
)
def test_what_is_no_ladder_is_refused(betas: list[float], rejections: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ladder.adapted_betas(np.array(betas), np.array(rejections))
    with pytest.raises(ValueError, match="probabilities"):
        ladder.adapted_betas(np.array([1.0, 0.5]), np.array([1.1]))


# Round trips.


def counts_when_all_accepted(rungs: int, rounds: jax.Array) -> jax.Array:
    """Finished trips of all walkers after each round; equal energies are always exchanged."""
    betas, energies = jnp.linspace(1.0, 0.0, rungs), jnp.zeros(rungs)

    def body(carry: Any, round_: jax.Array) -> Any:
        walkers, trips = carry
        order, _ = tempering.swap(jax.random.fold_in(jax.random.key(0), round_), round_, betas, energies)
        walkers = walkers[order]
        trips = round_trips.update(trips, round_trips.rung_of_walkers(walkers), rungs)
        return (walkers, trips), trips.finished.sum()

    start = (jnp.arange(rungs), round_trips.first_trips(jnp.arange(rungs), rungs))
    return jax.lax.scan(body, start, rounds)[1]


@pytest.mark.parametrize("rungs", [2, 3, 6])
def test_round_trips_when_every_swap_is_accepted(rungs: int) -> None:
    """The count after every round, from either parity of the first, is the closed form's."""
    counts = jax.jit(counts_when_all_accepted, static_argnums=0)
    for first in (0, 1):
        truth = [ladder.round_trips_all_accepted(rounds, rungs, first) for rounds in range(71)]
        np.testing.assert_array_equal(counts(rungs, first + jnp.arange(70)), truth[1:])
        assert truth[0] == 0
        assert abs(truth[-1] - 70 * ladder.round_trip_rate(np.zeros(rungs - 1))) <= 2 * rungs


def test_what_is_a_round_trip() -> None:
    """Hot, cold, hot, cold is one trip: the way from the start belongs to none; turning back half way is none."""
    trips = round_trips.first_trips(jnp.array([2, 1]), 3)
    for rungs in ([1, 2], [0, 2], [1, 1], [0, 0], [1, 1], [2, 0], [1, 1], [0, 2]):
        trips = round_trips.update(trips, jnp.array(rungs), 3)
    np.testing.assert_array_equal(trips.finished, [1, 0])
    np.testing.assert_array_equal(trips.origin, [round_trips.FROM_COLD, round_trips.FROM_HOT])


# Evidence.

STEPS = 9
POWER_BETAS = np.linspace(1.0, 0.0, STEPS) ** 4
"""Dense towards the prior, where the law changes fastest (Xie and others 2011)."""


def stones_of(log_likelihood: np.ndarray, betas: np.ndarray = POWER_BETAS) -> Stones:
    """Stones [..., S, K] of log likelihoods [..., S, R, n]."""
    absorb = partial(evidence.absorb, evidence.first_stones(len(betas)), jnp.asarray(betas))
    for _ in range(log_likelihood.ndim - 2):
        absorb = jax.vmap(absorb)
    return Stones(*map(np.asarray, jax.jit(absorb)(jnp.asarray(log_likelihood))))


class Conjugate:
    """theta ~ N(0, 1), y_i ~ N(theta, s^2) for 5 observations: every tempered law is normal."""

    y, s = np.array([0.3, 2.2, 1.4, 0.9, 2.0]), 0.7

    def evidence(self) -> float:
        covariance = np.ones((5, 5)) + self.s**2 * np.eye(5)
        return float(stats.multivariate_normal(np.zeros(5), covariance).logpdf(self.y))

    def log_likelihood(self, noise: np.ndarray) -> np.ndarray:
        """At exact draws from standard normal noise [..., R, n]."""
        precision = 1.0 + POWER_BETAS * 5 / self.s**2
        mean = POWER_BETAS * self.y.sum() / self.s**2 / precision
        theta = mean[:, None] + noise / np.sqrt(precision)[:, None]
        return stats.norm(theta[..., None], self.s).logpdf(self.y).sum(axis=-1)


class TwoModes:
    """x_b ~ N(0, 1), L = prod_b (N(x_b; m, s) + N(x_b; -m, s)) / 2 for 3 coordinates.

    The evidence is N(m; 0, 1 + s^2)^3. Tempered laws are drawn by inverting their distribution function on a grid
    of step 1e-3.
    """

    m, s, blocks = 1.5, 0.3, 3

    def __init__(self) -> None:
        self.grid = np.linspace(-6.0, 6.0, 12_001)
        modes = stats.norm(self.m, self.s).pdf(self.grid) + stats.norm(-self.m, self.s).pdf(self.grid)
        self.log_l = np.log(0.5 * modes)

    def evidence(self) -> float:
        return float(self.blocks * stats.norm(0.0, np.hypot(1.0, self.s)).logpdf(self.m))

    def log_likelihood(self, uniform: np.ndarray) -> np.ndarray:
        """At exact draws from uniform numbers [S, R, blocks, n]."""
        found = np.empty(uniform.shape)
        for rung, beta in enumerate(POWER_BETAS):
            mass = np.cumsum(np.exp(-0.5 * self.grid**2 + beta * self.log_l))
            x = np.interp(uniform[:, rung], mass / mass[-1], self.grid)
            found[:, rung] = np.interp(x, self.grid, self.log_l)
        return found.sum(axis=2)


def assert_evidence(stones: Stones, truth: float, precision: float) -> None:
    """All three estimates within errors that a t law exceeds with probability 1e-7, and the errors small."""
    alarm = stats.t(len(stones.draws) - 1).isf(0.5e-7)
    for estimate in log_evidence(stones, POWER_BETAS):
        assert abs(estimate.value - truth) < alarm * estimate.error, (estimate, truth)
        assert 0 < estimate.error < precision


def test_evidence_of_a_conjugate_model() -> None:
    noise = np.random.default_rng(1).standard_normal((32, STEPS, 400))
    assert_evidence(stones_of(Conjugate().log_likelihood(noise)), Conjugate().evidence(), 0.02)


def test_evidence_of_a_product_of_two_modes() -> None:
    uniform = np.random.default_rng(2).random((32, STEPS, TwoModes.blocks, 400))
    assert_evidence(stones_of(TwoModes().log_likelihood(uniform)), TwoModes().evidence(), 0.06)


def correlated(rng: np.random.Generator, shape: tuple[int, ...], rho: float) -> np.ndarray:
    """Stationary normal noise of lag-one correlation rho along the last axis."""
    noise = rng.standard_normal(shape)
    for t in range(1, shape[-1]):
        noise[..., t] = rho * noise[..., t - 1] + np.sqrt(1 - rho**2) * noise[..., t]
    return noise


@pytest.mark.parametrize("rho", [0.0, 0.8], ids=["independent", "correlated"])
def test_errors_of_the_evidence_cover(rho: float) -> None:
    """95% intervals of 8 superchains hold the truth as often as they say, for draws correlated in time as well.

    The count is binomial(600, .95) for the exact t law: outside 540 to 596 in less than 1e-6 of the seeds.
    """
    runs, superchains = 600, 8
    noise = correlated(np.random.default_rng(4), (runs, superchains, STEPS, 60), rho)
    stones, truth = stones_of(Conjugate().log_likelihood(noise)), Conjugate().evidence()
    found = [log_evidence(Stones(*(values[run] for values in stones)), POWER_BETAS) for run in range(runs)]
    for way in evidence.Evidence._fields:
        values = np.array([getattr(one, way) for one in found])
        inside = np.abs(values[:, 0] - truth) < stats.t(superchains - 1).ppf(0.975) * values[:, 1]
        assert 540 <= inside.sum() <= 596, (way, inside.sum())
        assert_near(values[:, 0], truth)


def test_jackknife_takes_off_the_bias_of_the_logarithm() -> None:
    """The log of a mean of 16 log-normal weights is low by (e - 1) / 32 = .054, its error over the runs is .005."""
    betas, runs, truth = np.array([1.0, 0.0]), 4000, 0.5
    draws = np.zeros((runs, 8, 2, 2))
    draws[:, :, 1] = np.random.default_rng(7).standard_normal((runs, 8, 2))
    stones = stones_of(draws, betas)
    pooled = np.log(np.exp(draws[:, :, 1]).mean(axis=(1, 2)))
    found = [log_evidence(Stones(*(values[run] for values in stones)), betas) for run in range(runs)]
    assert pooled.mean() - truth < -0.027
    assert abs(np.mean([one.stepping_stone.value for one in found]) - truth) < 0.027


def test_evidence_of_halves_merges_to_the_whole() -> None:
    draws = Conjugate().log_likelihood(np.random.default_rng(5).standard_normal((4, STEPS, 50)))
    whole, (one, other) = stones_of(draws), (stones_of(draws[..., :20]), stones_of(draws[..., 20:]))
    for merged, expected in zip(evidence.merge(one, other), whole, strict=True):
        np.testing.assert_allclose(merged, expected, rtol=1e-13)
    assert sum(np.size(values[0]) for values in whole) == 4 * (STEPS - 1) + 1


def test_evidence_survives_large_numbers() -> None:
    """Log likelihoods of -1e6 shift the log evidence by as much and leave the error as it was."""
    draws = Conjugate().log_likelihood(np.random.default_rng(6).standard_normal((8, STEPS, 50)))
    near, far = (log_evidence(stones_of(draws + shift), POWER_BETAS) for shift in (0.0, -1e6))
    for one, other in zip(near, far, strict=True):
        assert other.value + 1e6 == pytest.approx(one.value, abs=1e-7)
        assert other.error == pytest.approx(one.error, rel=1e-6)


def test_a_prior_draw_without_likelihood_counts_as_nothing() -> None:
    draws = np.zeros((2, 2, 4))
    draws[:, 1, 0] = -np.inf
    found = log_evidence(stones_of(draws, np.array([1.0, 0.0])), np.array([1.0, 0.0]))
    assert found.stepping_stone.value == pytest.approx(np.log(0.75))


def test_a_single_superchain_gives_no_error() -> None:
    found = log_evidence(stones_of(np.zeros((1, 2, 4)), np.array([1.0, 0.0])), np.array([1.0, 0.0]))
    assert found.bridge.value == 0.0
    assert np.isnan(found.bridge.error)


@pytest.mark.parametrize("betas", [[1.0, 0.5], [0.9, 0.0], [1.0], [1.0, 0.0, 0.0]])
def test_other_ladders_give_no_evidence(betas: list[float]) -> None:
    with pytest.raises(ValueError, match="tempers the likelihood alone"):
        log_evidence(stones_of(np.zeros((2, 2, 4)), np.array([1.0, 0.0])), np.array(betas))


def test_evidence_needs_draws_of_every_superchain() -> None:
    betas = np.array([1.0, 0.0])
    empty = Stones(*(np.stack([values] * 2) for values in evidence.first_stones(2)))
    with pytest.raises(ValueError, match="at least one"):
        log_evidence(empty, betas)
    draws = np.zeros((2, 2, 4))
    draws[1, 1] = -np.inf
    with pytest.raises(ValueError, match=r"betas \[1.\] and"):
        log_evidence(stones_of(draws, betas), betas)
    with pytest.raises(ValueError, match=r"shape \(2, 1\)"):
        log_evidence(stones_of(np.zeros((2, 2, 4)), betas), np.array([1.0, 0.5, 0.0]))
