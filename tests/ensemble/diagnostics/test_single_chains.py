"""The most outlying chain: its formula, the rate of false alarms, and what nested R-hat does not see."""

import numpy as np
import pytest
from scipy import stats

from ensemble.diagnostics import accumulators
from ensemble.diagnostics.accumulators import NOTHING, collect
from ensemble.diagnostics.convergence import diagnose, rhat_limit
from ensemble.diagnostics.single_chains import FALSE_ALARM, allowed_pull, furthest_chain, furthest_limit


def furthest_of(chains):
    """Of the chains' sums [chains, coordinates]."""
    return furthest_chain(
        chains.sum(axis=0), (chains**2).sum(axis=0), chains.max(axis=0), chains.min(axis=0), len(chains)
    )


def test_it_is_the_largest_externally_studentised_deviation():
    chains = np.random.default_rng(0).normal(size=(32, 50)) * np.geomspace(0.1, 100, 50) + 7.0
    expected = np.zeros(50)
    for i in range(32):
        others = np.delete(chains, i, axis=0)
        away = np.abs(chains[i] - others.mean(axis=0)) / (others.std(axis=0, ddof=1) * np.sqrt(1 + 1 / 31))
        expected = np.maximum(expected, away)
    np.testing.assert_allclose(furthest_of(chains), expected, rtol=1e-8)


@pytest.mark.parametrize(("chains", "coordinates"), [(4, 1), (8, 20), (32, 200)])
def test_false_alarms_are_as_rare_as_stated(chains, coordinates):
    """Looks at independent normal means. A look raises an alarm with a chance of 1e-3 by the union bound over
    coordinates x chains t-values, which is nearly exact as they are nearly independent and so small. Of n looks the
    number of alarms is binomial; more than the quantile of 1 - 1e-7 is none by chance. At least a tenth of the stated
    rate would be seen likewise: the limit is no looser than it needs to be."""
    rng, looks = np.random.default_rng(chains), 40_000 if coordinates == 1 else 20_000 if coordinates < 100 else 4_000
    limit, alarms = furthest_limit(coordinates, chains), 0
    for _ in range(looks // 100):
        means = rng.normal(size=(chains, 100 * coordinates))
        alarms += int((furthest_of(means).reshape(100, coordinates) > limit).any(axis=1).sum())
    assert alarms <= stats.binom(looks, FALSE_ALARM).isf(1e-7)
    if looks == 40_000:
        assert alarms >= stats.binom(looks, FALSE_ALARM).ppf(1e-7)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_neither_origin_nor_unit_matters(scale, shift):
    chains = np.random.default_rng(1).normal(size=(16, 5))
    np.testing.assert_allclose(furthest_of(scale * (chains + shift)), furthest_of(chains), rtol=1e-6)


def test_fewer_than_four_chains_and_chains_that_never_moved_say_nothing():
    assert np.isnan(furthest_of(np.random.default_rng(0).normal(size=(3, 2)))).all()
    assert np.isnan(furthest_of(np.zeros((8, 2)))).all()


def test_the_limit_grows_with_what_is_looked_at():
    assert furthest_limit(1, 32) < furthest_limit(100, 32) < furthest_limit(10_000, 32)
    assert furthest_limit(10, 32) < furthest_limit(10, 8)


def accumulated(chains, sweeps):
    """What the shards of chains [shards, replicas, rounds * sweeps, coordinates] accumulate."""
    found = []
    for shard in chains:
        sums = accumulators.empty()
        for part in np.split(shard, shard.shape[1] // sweeps, axis=1):
            total, square = part.sum(axis=1)[..., None], (part**2).sum(axis=(0, 1))[:, None]
            sums = accumulators.absorb(sums, {"all": total}, {"all": square})
        found.append(accumulators.pooled(sums))
    return found


def test_a_lost_chain_of_32_is_seen_where_nested_rhat_is_below_its_limit():
    """Eight superchains of four chains of 400 independent draws. One chain lies half a standard deviation off: within
    its superchain it makes a quarter of that, which nested R-hat puts down to chance."""
    rng, sweeps = np.random.default_rng(5), 4
    chains = rng.normal(size=(8, 4, 400, 3))
    sound = accumulated(chains, sweeps)
    lost = chains.copy()
    lost[2, 1, :, 0] += 0.5
    for values, outlying in ((sound, False), (accumulated(lost, sweeps), True)):
        found = diagnose(values, collect(NOTHING, values), 4, sweeps, pull=0.01)
        assert (found.furthest["all"].max() > furthest_limit(3, 32)) == outlying
        assert found.rhat["all"].max() < max(rhat_limit(3, float(found.ess["all"].min()), 8), 1.01)
        if outlying:
            assert found.furthest["all"].argmax() == 0
            assert int(found.superchain["all"][0, 0]) == 2
            # It moves the mean of all by 1/64 of a standard deviation, which 2,000 effective draws do not promise.
            allowing = diagnose(values, collect(NOTHING, values), 4, sweeps, pull=allowed_pull(2000, 32))
            assert allowing.furthest["all"][0, 0] < furthest_limit(3, 32)


@pytest.mark.parametrize("away", [1e2, 1e8])
@pytest.mark.parametrize(("ess", "chains"), [(400, 32), (400, 512), (10, 32)])
def test_a_chain_infinitely_far_out_counts_whatever_the_goal(away, ess, chains):
    """Its share of the variance is away^2 / chains: it moves the mean by 1 / sqrt(chains) of the sd that it makes."""
    rng = np.random.default_rng(2)
    means = rng.normal(size=(chains, 1)) * 0.1
    means[3] += away
    sd = np.sqrt(1.0 + means.var(axis=0))
    allowed = allowed_pull(ess, chains) * chains * sd
    found = furthest_chain(
        means.sum(axis=0), (means**2).sum(axis=0), means.max(axis=0), means.min(axis=0), chains, allowed
    )
    assert found[0] > furthest_limit(1, chains)
