"""ess_online and nested R-hat against known effective sample sizes and the textbook formula on whole chains.

Seeds are fixed. The tolerances on effective sample sizes are at least five standard errors of the estimate (that of a
variance of n batch means is sqrt(2 / n) relative): a right program with another seed fails less than once in 1e6.
"""

import numpy as np
import pytest
from scipy.signal import lfilter

from ensemble.diagnostics import accumulators
from ensemble.diagnostics.accumulators import Accumulators
from ensemble.diagnostics.convergence import Diagnostics, corrected, diagnose, rhat_limit
from ensemble.protocol.events import LOG_DENSITY
from ensemble.protocol.statistics import AccumulatedSums

SUPERCHAINS, REPLICAS, SWEEPS = 8, 8, 8


def chains(rho, rounds, seed=0):
    """Stationary AR(1) chains of unit variance, one coordinate for each rho: [draws, K, M, coordinates]."""
    rng = np.random.default_rng(seed)
    found = []
    for r in rho:
        noise = rng.normal(size=(rounds * SWEEPS, SUPERCHAINS, REPLICAS))
        noise[1:] *= np.sqrt(1 - r**2)
        found.append(lfilter([1.0], [1.0, -r], noise, axis=0))
    return np.stack(found, axis=-1)


def diagnosed(x, sweeps=SWEEPS, checks=(), pull=0.0) -> Diagnostics:
    """Diagnostics of draws [draws, K, M, coordinates], absorbed round by round by every superchain.

    checks: rounds after which the superchains also reported, and were drained of what they reported.
    """
    draws, superchains, replicas, coordinates = x.shape
    rounds = np.moveaxis(x, 1, 0).reshape(superchains, draws // sweeps, sweeps, replicas, 1, coordinates)
    states, kept = [accumulators.empty()] * superchains, accumulators.NOTHING
    reports: list[AccumulatedSums] = []
    for number in range(draws // sweeps):
        states = [absorbed(state, rounds[k, number]) for k, state in enumerate(states)]
        if number + 1 in (*checks, draws // sweeps):
            reports = [accumulators.pooled(state) for state in states]
            states = [accumulators.drained(state) for state in states]
            kept = accumulators.collect(kept, reports)
    return diagnose(reports, kept, replicas, sweeps, pull)


def absorbed(state: Accumulators, block: np.ndarray) -> Accumulators:
    """The accumulators of one superchain after one more round [sweeps, M, 1, coordinates]."""
    return accumulators.absorb(state, {"x": block.sum(axis=0)}, {"x": (block**2).sum(axis=(0, 1))})


def textbook_nested_rhat(x):
    """Equations (6) to (9) of Margossian et al. (2024), from whole chains [draws, K, M, coordinates]."""
    chain = x.mean(axis=0)
    superchain = chain.mean(axis=1)
    between_superchains = superchain.var(axis=0, ddof=1)
    between_chains = chain.var(axis=1, ddof=1) if x.shape[2] > 1 else 0.0
    within_chains = x.var(axis=0, ddof=1).mean(axis=1)
    return np.sqrt(1 + between_superchains / (between_chains + within_chains).mean(axis=0))


@pytest.mark.parametrize("checks", [(1,), (8, 16, 32), (3, 7, 20, 41, 42), tuple(range(1, 50))])
def test_reports_on_the_way_change_nothing(checks):
    """Squares and batches are handed over with each report; what is found at the end is the same, to rounding."""
    x = 3 + chains((0.0, 0.9), 50)
    found, expected = diagnosed(x, checks=checks), diagnosed(x)
    assert found.rounds == expected.rounds == 50
    np.testing.assert_allclose(found.ess["x"], expected.ess["x"], rtol=1e-9)
    np.testing.assert_allclose(found.rhat["x"], expected.rhat["x"], rtol=1e-9)


def test_ess_of_autoregressive_chains():
    """ESS = N (1 - rho) / (1 + rho), from 1 draw in 1 to 1 in 66, whose batches of 64 are no longer than their time."""
    rho = np.array([0.0, 0.5, 0.9, 0.97])
    x = chains(rho, 160)
    expected = x[..., 0].size * (1 - rho) / (1 + rho)
    np.testing.assert_allclose(diagnosed(x).ess["x"][0] / expected, 1.0, atol=0.35)


def test_ess_of_anticorrelated_chains_exceeds_the_draws():
    x = chains((-0.5,), 160)
    assert 2 * x.size < diagnosed(x).ess["x"][0, 0] < 4 * x.size


@pytest.mark.parametrize("rounds", [20, 21, 39, 40, 64])
def test_ess_of_independent_draws_is_their_number(rounds):
    x = chains((0.0,) * 20, rounds)
    np.testing.assert_allclose(diagnosed(x).ess["x"] / x[..., 0].size, 1.0, atol=0.3)


def test_ess_is_unknown_before_twenty_batches():
    assert np.isnan(diagnosed(chains((0.0,), 19)).ess["x"]).all()


def test_ess_with_one_sweep_a_round():
    """Batches of one draw cannot show autocorrelation: no ESS from them, and the right one from longer batches."""
    x = chains((0.0, 0.5), 40)
    assert np.isnan(diagnosed(x[:39], sweeps=1).ess["x"]).all()
    ess = diagnosed(x, sweeps=1).ess["x"][0]
    np.testing.assert_allclose(ess / (x[..., 0].size * np.array([1.0, 1 / 3])), 1.0, atol=0.35)


def test_stuck_chains_have_no_ess_whatever_their_number_of_draws():
    """Every chain stays where it started, spread like the target. ArviZ's bulk-ESS cannot see this in short chains."""
    start = np.random.default_rng(1).normal(size=(1, SUPERCHAINS, REPLICAS, 3))
    x = np.repeat(start, 64 * SWEEPS, axis=0)
    found = diagnosed(x)
    assert (found.ess["x"] < SUPERCHAINS * REPLICAS).all()


def test_stuck_superchains_show_in_nested_rhat():
    """Chains mix inside their superchain, but superchains stay apart."""
    x = chains((0.5,), 40) + 5 * np.random.default_rng(2).normal(size=(SUPERCHAINS, 1, 1))
    found = diagnosed(x)
    assert found.rhat["x"][0, 0] > 3
    assert found.ess["x"][0, 0] < SUPERCHAINS * REPLICAS


def test_a_hidden_slow_part_is_found_by_the_longest_batches():
    """Noise with a slow part of a tenth of the variance whose time is longer than the chains.

    Only what exceeds the noise of 64 chains counts, so the ESS is overstated: about threefold here, where the base
    batches alone would overstate it 13-fold. More than eightfold has a probability below 1e-6.
    """
    fast, slow = np.moveaxis(chains((0.0, 0.999), 160), -1, 0)
    draws, lags = len(fast), np.arange(1, len(fast))
    slow_time = 1 + 2 * ((1 - lags / draws) * 0.999**lags).sum()
    true = fast.size / (0.9 + 0.1 * slow_time)
    found = diagnosed((np.sqrt(0.9) * fast + np.sqrt(0.1) * slow)[..., None]).ess["x"][0, 0]
    assert found < 8 * true


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -2.7, 123.456])
def test_a_constant_coordinate_has_neither_ess_nor_rhat(value):
    """Also where its sums round: what is left of its variance says nothing."""
    found = diagnosed(np.full((40 * SWEEPS, SUPERCHAINS, REPLICAS, 1), value))
    assert np.isnan(found.ess["x"]).all()
    assert np.isnan(found.rhat["x"]).all()


@pytest.mark.parametrize("replicas", [1, 2, 8])
def test_nested_rhat_is_the_textbook_formula(replicas):
    x = chains((0.0, 0.9, 0.99), 6)[:, :, :replicas]
    x = x + np.random.default_rng(3).normal(size=(SUPERCHAINS, replicas, 3))
    np.testing.assert_allclose(diagnosed(x).rhat["x"][0], textbook_nested_rhat(x), rtol=1e-10)


def test_nested_rhat_after_a_single_draw():
    """Within one draw there is no variance: the chains of a superchain stand in for it."""
    x = chains((0.0, 0.0), 1)[:1]
    chain = x[0]
    expected = np.sqrt(1 + chain.mean(axis=1).var(axis=0, ddof=1) / chain.var(axis=1, ddof=1).mean(axis=0))
    np.testing.assert_allclose(diagnosed(x, sweeps=1).rhat["x"][0], expected, rtol=1e-10)


def test_rhat_limit_is_the_designs_figure():
    assert round(rhat_limit(67_000, 400, 8), 3) == 1.062


def test_rhat_limit_holds_for_perfect_chains():
    """Independent draws: nested R-hat of all of d coordinates below its limit 99 times in 100.

    40 ensembles of 1,000 coordinates: more than 6 failures have probability 2e-7.
    """
    failures = 0
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=(SWEEPS, SUPERCHAINS, 4, 1000))
        failures += diagnosed(x).rhat["x"].max() > rhat_limit(1000, x[..., 0].size, SUPERCHAINS)
    assert failures <= 6


@pytest.mark.parametrize("length", [2, 8, 64])
@pytest.mark.parametrize("rho", [0.1, 0.9, 0.99])
def test_correction_inverts_what_short_batches_show(rho, length):
    """The variance of a mean of n draws of an AR(1), summed lag by lag, leads back to (1 + rho) / (1 - rho)."""
    lags = np.arange(1, length)
    shown = 1 + 2 * ((1 - lags / length) * rho**lags).sum()
    found = corrected(np.asarray([3 * shown]), np.asarray([3.0]), length)
    np.testing.assert_allclose(found, 3 * (1 + rho) / (1 - rho), rtol=2e-3)


def test_correction_leaves_anticorrelated_batches_alone():
    np.testing.assert_array_equal(corrected(np.asarray([0.25, 1.0]), np.ones(2), 8), [0.25, 1.0])


EVERY_EIGHT = tuple(range(8, 129, 8))


def test_drift_of_stationary_chains_is_standard_normal():
    """400 coordinates: their mean square has a standard error of .07; the errors are known to 2% of themselves."""
    found = diagnosed(chains(np.linspace(0.0, 0.9, 400), 128), checks=EVERY_EIGHT)
    assert abs(np.mean(found.drift["x"] ** 2) - 1.0) < 0.4
    assert np.abs(found.drift["x"]).max() < 5.5


def test_chains_on_their_way_show_as_drift_where_nested_rhat_sees_nothing():
    """All chains of all superchains come in from 1.5 standard deviations away, over the first quarter of the stage."""
    x = chains((0.5,), 128)
    x[: len(x) // 4] += np.linspace(1.5, 0.0, len(x) // 4)[:, None, None, None]
    found = diagnosed(x, checks=EVERY_EIGHT)
    assert found.rhat["x"].max() < 1.01
    assert found.drift["x"].min() > 10.0


def late(rounds: int) -> np.ndarray:
    """Slow chains of four coordinates, the first 16 of whose rounds lie five standard deviations away."""
    x = chains(np.full(4, 0.99), rounds)
    x[: 16 * SWEEPS] += 5.0
    return x


def test_a_stage_that_began_a_little_too_early_shows_as_drift_however_long_it_becomes():
    """Half of 1,024 rounds dilutes the 16 to .16 standard deviations, four standard errors; in a part of 16 they are
    32 standard errors off, or 25 by an error that they have widened themselves."""
    found = diagnosed(late(1024), checks=tuple(range(8, 1025, 8)))
    assert np.abs(found.drift["x"]).min() > 10.0


def test_a_first_part_that_hardly_moves_the_mean_does_no_harm():
    """5 x 16 / 1,024 is .078 standard deviations: a run that may be off by .1 passes over it."""
    found = diagnosed(late(1024), checks=tuple(range(8, 1025, 8)), pull=0.1)
    assert np.abs(found.drift["x"]).max() < 9.0


def test_the_log_density_has_an_effective_sample_size_and_is_no_level():
    """rho = .9: n .1 / 1.9. Of 64 chains of 1,024 draws the estimate has a standard error of 3%."""
    x = chains((0.9,), 128)
    state = [accumulators.empty()] * SUPERCHAINS
    rounds = np.moveaxis(x, 1, 0).reshape(SUPERCHAINS, 128, SWEEPS, REPLICAS, 1, 1)
    for number in range(128):
        blocks = {"x": rounds[:, number], LOG_DENSITY: rounds[:, number]}
        state = [
            accumulators.absorb(
                one,
                {name: block[k].sum(axis=0) for name, block in blocks.items()},
                {name: (block[k] ** 2).sum(axis=(0, 1)) for name, block in blocks.items()},
            )
            for k, one in enumerate(state)
        ]
    reports = [accumulators.pooled(one) for one in state]
    found = diagnose(reports, accumulators.collect(accumulators.NOTHING, reports), REPLICAS, SWEEPS)
    assert found.log_density_ess == pytest.approx(x.size * 0.1 / 1.9, rel=0.2)
    assert list(found.ess) == ["x"]


def test_drift_is_unknown_before_there_are_two_parts():
    assert np.isnan(diagnosed(chains((0.5,), 50)).drift["x"]).all()


def test_marks_survive_a_checkpoint():
    state = absorbed(accumulators.empty(), np.ones((SWEEPS, REPLICAS, 1, 2)))
    sums = accumulators.collect(accumulators.NOTHING, [accumulators.pooled(state)])
    state = absorbed(
        accumulators.absorb(state, {"x": np.ones((REPLICAS, 1, 2))}, {"x": np.ones((1, 2))}),
        np.ones((SWEEPS, REPLICAS, 1, 2)),
    )
    sums = accumulators.collect(sums, [accumulators.pooled(state)])
    back = accumulators.unpack_sums(accumulators.pack_sums(sums))
    assert (back.first.rounds, back.second.rounds) == (1, 3)
    np.testing.assert_array_equal(back.first.sums["x"], sums.first.sums["x"])
