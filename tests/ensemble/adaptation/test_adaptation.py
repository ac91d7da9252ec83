"""Adaptation: moments against direct sums, factors against NumPy, and the direction of every step."""

import numpy as np
import pytest

from ensemble.adaptation import covariance, interweaving, steering
from ensemble.adaptation import moments as moments_module
from ensemble.adaptation.covariance import SHRINKAGE
from ensemble.adaptation.moments import EnsembleMoments, Moments, absorb_moments, extended, first_moments
from ensemble.protocol.statistics import LevelSums, MomentSums, Rate, summed
from ensemble.run import adapt as adaptation
from ensemble.shard.level_kernels.metropolis import FITTED_ROUND
from tests.support.models.ensemble_models import GROUPS, small, tuning
from tests.support.statistics import one_rung, statistics_of

REPLICAS = 4


def round_of(x, tuning, level="g"):
    """What one shard reports of states x [R, p, B]: sums and outer products about the tuning's mean."""
    offset = x - tuning.levels[level][0].mean
    outer = np.einsum("rib,rjb->ijb", offset, offset)
    return statistics_of(moments={level: (LevelSums(MomentSums(offset.sum(axis=0), outer)),)})


def states(seed, replicas=REPLICAS):
    """Correlated states [R, 2, GROUPS] far from 0."""
    z = np.random.default_rng(seed).normal(size=(replicas, 2, GROUPS))
    return np.stack([100 + z[:, 0], 3 * z[:, 0] + z[:, 1]], axis=1)


def with_mean(start, mean):
    """Tuning whose mean at level g is `mean`."""
    return start._replace(levels={**start.levels, "g": (start.levels["g"][0]._replace(mean=mean),)})


def test_moments_of_a_first_round_are_those_of_all_shards():
    """Whatever the tuning's mean, about which the shards sum."""
    start = with_mean(tuning(), states(9)[0])
    x = [states(seed) for seed in range(3)]
    reports = [round_of(values, start) for values in x]
    found = absorb_moments(first_moments(start), start, reports, REPLICAS, 0).states["g"][0]
    everything = np.concatenate(x)
    deviation = everything - everything.mean(axis=0)
    assert found.weight == len(everything)
    np.testing.assert_allclose(found.mean, everything.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.scatter, np.einsum("rib,rjb->ijb", deviation, deviation), rtol=1e-9)


def test_moments_forget_by_weights():
    """After three rounds: weighted moments of all states, each round's weight the product of what was kept since."""
    start = tuning()
    moments = first_moments(start)
    rounds, weights = [], []
    for round_ in range(3):
        keep = max(0.0, 1 - 3 / (round_ + 3))
        x = states(round_)
        moving = with_mean(start, states(round_ + 50)[0])
        moments = absorb_moments(moments, moving, [round_of(x, moving)], REPLICAS, round_)
        rounds, weights = [*rounds, x], [keep * weight for weight in weights] + [1.0]
    everything, w = np.concatenate(rounds), np.repeat(weights, REPLICAS)
    mean = np.average(everything, axis=0, weights=w)
    scatter = np.einsum("r,rib,rjb->ijb", w, everything - mean, everything - mean)
    np.testing.assert_allclose(moments.states["g"][0].weight, w.sum(), rtol=1e-12)
    np.testing.assert_allclose(moments.states["g"][0].mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.states["g"][0].scatter, scatter, rtol=1e-9)


def test_moments_of_the_first_round_of_a_stage_forget_everything_before():
    start = tuning()
    old = first_moments(start)
    (known,) = old.states["g"]
    old.states["g"] = (Moments(np.asarray(1e6), known.mean - 7, known.scatter + 5),)
    report = [round_of(states(0), start)]
    found = absorb_moments(old, start, report, REPLICAS, 0).states["g"][0]
    np.testing.assert_allclose(found.mean, states(0).mean(axis=0), rtol=1e-12)
    assert found.weight == REPLICAS


def test_moments_of_a_level_that_reports_none_stay():
    start = tuning()
    before = first_moments(start)
    after = absorb_moments(before, start, [round_of(states(0), start)], REPLICAS, 0)
    assert after.states["global"][0] is before.states["global"][0]


def test_diagonal_moments_are_variances():
    old = Moments(np.zeros(()), np.zeros((2, 3)), np.zeros((2, 3)))
    x = np.random.default_rng(0).normal(size=(6, 2, 3))
    found = moments_module._merge(old, 0.0, np.asarray(6.0), x.mean(axis=0), ((x - x.mean(axis=0)) ** 2).sum(axis=0))
    sd = covariance.covariance_factor(found, np.ones((2, 3)))
    np.testing.assert_allclose(sd, x.std(axis=0), rtol=1e-12)


def test_cholesky_is_numpys():
    a = np.random.default_rng(0).normal(size=(7, 4, 4))
    matrices = a @ a.transpose(0, 2, 1) + 0.1 * np.eye(4)
    found = covariance.cholesky(np.moveaxis(matrices, 0, -1))
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), np.linalg.cholesky(matrices), rtol=1e-10, atol=1e-14)


def test_cholesky_is_nan_where_a_matrix_is_not_positive_definite():
    matrices = np.stack([np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]])], axis=-1)
    found = covariance.cholesky(matrices)
    np.testing.assert_array_equal(found[..., 0], np.eye(2))
    assert np.isnan(found[..., 1]).any()


def test_covariance_factor_shrinks_correlations_only():
    scatter = 20 * np.array([[4.0, 3.0], [3.0, 9.0]])[:, :, None]
    factor = covariance.covariance_factor(Moments(np.asarray(20.0), np.zeros((2, 1)), scatter), np.zeros((2, 2, 1)))
    share = 20 / (20 + SHRINKAGE)
    expected = np.array([[4.0, 3.0 * share], [3.0 * share, 9.0]])
    np.testing.assert_allclose(factor[..., 0] @ factor[..., 0].T, expected, rtol=1e-12)


def test_covariance_factor_of_a_block_narrower_than_its_level():
    """The padding of a block has no spread; a unit there keeps the factor triangular and invertible."""
    scatter = np.zeros((2, 2, 1))
    scatter[0, 0] = 50.0
    factor = covariance.covariance_factor(Moments(np.asarray(2.0), np.zeros((2, 1)), scatter), np.zeros((2, 2, 1)))
    np.testing.assert_allclose(factor[..., 0], [[5.0, 0.0], [0.0, 1.0]])


def test_covariance_factor_keeps_the_previous_where_it_cannot_be_made():
    previous = np.stack([2 * np.eye(2)] * 2, axis=-1)
    scatter = np.stack([np.eye(2), np.full((2, 2), np.nan)], axis=-1)
    factor = covariance.covariance_factor(Moments(np.asarray(1.0), np.zeros((2, 2)), scatter), previous)
    np.testing.assert_array_equal(factor[..., 1], previous[..., 1])
    np.testing.assert_allclose(factor[..., 0], np.eye(2))


def test_a_step_raises_what_is_accepted_too_often():
    log_scale = np.zeros(4)
    seen = np.array([0.9, 0.1, 0.44, np.nan])
    found = steering.steered(log_scale, seen, 0.44, 5)
    assert found[0] > 0 > found[1]
    assert found[2] == 0
    assert found[3] == 0


def test_steps_become_smaller_and_their_sum_diverges():
    """The conditions of Robbins and Monro (1951): sum of gains infinite, sum of squares finite."""
    gains = np.array([steering.gain(round_) for round_ in range(1000)])
    assert (np.diff(gains) < 0).all()
    exponent = np.polyfit(np.log(np.arange(101, 1001)), np.log(gains[100:]), 1)[0]
    assert -1 < exponent < -0.5


def test_scales_settle_where_the_wanted_acceptance_is():
    """A walk whose acceptance falls as exp(-scale): the scale settles at -log(wanted)."""
    log_scale = np.zeros(1)
    for round_ in range(400):
        log_scale = steering.steered(log_scale, np.exp(-np.exp(log_scale)), 0.44, round_)
    np.testing.assert_allclose(np.exp(log_scale), -np.log(0.44), rtol=1e-3)


def test_wanted_acceptance_falls_with_the_width_of_a_block():
    wanted = steering.target_acceptance(np.array([1, 2, 6, 1000]))
    assert wanted[0] == pytest.approx(0.44)
    assert wanted[-1] == pytest.approx(0.234, abs=1e-3)
    assert (np.diff(wanted) < 0).all()


def test_rates_are_means_over_shards_and_nan_where_nothing_was_tried():
    reports = [Rate(np.array([1.0, 0.0]), np.array([4.0, 0.0]))] * 2
    np.testing.assert_array_equal(summed(reports).mean(), [0.25, np.nan])


def equilibrate_report(walk, fitted, interweave=(0.9, 0.1)):
    """One shard's statistics of a round: acceptance sums out of 10 tries of every block."""
    moves = Rate(10 * np.asarray(interweave), np.full(2, 10.0))
    rates = {}
    for level, blocks in (("global", 1), ("g", GROUPS)):
        tried = [np.zeros(blocks) if value is None else np.full(blocks, 10.0) for value in (walk, fitted)]
        kinds = [Rate(many * (value or 0.0), many) for many, value in zip(tried, (walk, fitted), strict=True)]
        rates[level] = one_rung(walk=kinds[0], fitted=kinds[1])
    return statistics_of(interweaving=moves, rates=rates)


def adapted(start, walk, fitted, round_):
    """The tuning after a round in which every block had mean 1 and variance 4."""
    model = small()
    moments = {
        level.name: (Moments(np.asarray(100.0), np.ones((2, level.n_blocks)), spread(level.n_blocks, 400.0)),)
        for level in model.structure.levels
    }
    report = [equilibrate_report(walk, fitted)]
    return adaptation.adapt(start, EnsembleMoments(moments, {}), report, model.spec, round_)


def spread(blocks, value):
    """The scatter [2, 2, B] of uncorrelated coordinates."""
    return np.repeat(value * np.eye(2)[:, :, None], blocks, axis=2)


def test_equilibrate_adapts_scale_mean_factor_and_interweaving():
    start = tuning()
    found = adapted(start, walk=0.9, fitted=None, round_=2)
    for name in ("global", "g"):
        assert (found.levels[name][0].log_scale > start.levels[name][0].log_scale).all()
        np.testing.assert_array_equal(found.levels[name][0].mean, 1.0)
        np.testing.assert_allclose(found.levels[name][0].factor[..., 0], 2 * np.eye(2))
    assert found.interweave[0] > start.interweave[0]
    assert found.interweave[1] < start.interweave[1]


def test_fitted_proposals_start_late_with_half_and_follow_their_acceptance():
    """Only leaf levels; never less than a tenth nor more than nine tenths, so that the walk remains. Between, shares
    are as efficiencies: 1 of draws that are all accepted, .331 / p of a walk in p = 2 dimensions."""
    start = tuning()
    assert not adapted(start, 0.4, None, FITTED_ROUND - 1).levels["g"][0].mix.any()
    begun = adapted(start, 0.4, None, FITTED_ROUND)
    np.testing.assert_array_equal(begun.levels["g"][0].mix, 0.5)
    np.testing.assert_array_equal(begun.levels["global"][0].mix, 0.0)
    liked, disliked = begun, begun
    for round_ in range(FITTED_ROUND + 1, FITTED_ROUND + 60):
        liked, disliked = adapted(liked, 0.4, 1.0, round_), adapted(disliked, 0.4, 0.0, round_)
        assert (liked.levels["g"][0].mix <= 0.9).all()
        assert (disliked.levels["g"][0].mix >= 0.1).all()
    np.testing.assert_allclose(liked.levels["g"][0].mix, 1.0 / 1.1655, atol=1e-6)
    np.testing.assert_allclose(disliked.levels["g"][0].mix, 0.1, atol=1e-6)


def test_scout_steers_steps_by_their_score_and_walks_by_their_acceptance():
    start = tuning()._replace(scout={"g": {"step_size": np.full(GROUPS, 0.1)}})
    score = np.linspace(0, 1, GROUPS) * REPLICAS
    rates = {
        "g": one_rung(score=Rate(score, np.full(GROUPS, REPLICAS))),
        "global": one_rung(walk=Rate(np.array([1.0]), np.array([100.0]))),
    }
    report = [statistics_of(rates=rates)]
    found = adaptation.adapt_scout(start, report, 0)
    rose = found.scout["g"]["step_size"] > 0.1
    np.testing.assert_array_equal(rose, np.linspace(0, 1, GROUPS) > adaptation.SCORE)
    assert found.levels["global"][0].log_scale < start.levels["global"][0].log_scale
    assert found.levels["g"] is start.levels["g"]


def test_schedule_takes_useful_moves_in_turn_across_rounds():
    useful = np.array([True, False, True])
    rounds = np.concatenate([interweaving.schedule(3, round_, useful) for round_ in range(4)])
    np.testing.assert_array_equal(rounds, [0, 2] * 6)


def test_schedule_without_useful_moves_names_none():
    np.testing.assert_array_equal(interweaving.schedule(3, 5, np.zeros(2, bool)), [2, 2, 2])
    np.testing.assert_array_equal(interweaving.schedule(3, 5, np.zeros(0, bool)), [0, 0, 0])


def test_useful_moves_are_those_with_a_step_against_the_parents_variance():
    """Location moves mu of variance 4 by a tenth of its sd; scale moves log_sd of variance 0.01 by twice its sd."""
    model = small()
    assert [(move.kind, move.parent) for move in model.spec.interweavings] == [("location", "mu"), ("scale", "log_sd")]
    start = tuning()._replace(interweave=np.log([0.2, 0.2]))
    moments = first_moments(start)
    scatter = 10 * np.array([[4.0, 0.0], [0.0, 0.01]])[:, :, None]
    moments.states["global"] = (Moments(np.asarray(10.0), np.zeros((2, 1)), scatter),)
    assert model.structure.level("global").sites == ("mu", "log_sd")

    def useful(accepted):
        return interweaving.interweavings_to_keep(start, moments, np.asarray(accepted), model.spec).tolist()

    assert useful([0.5, 0.5]) == [False, True]
    assert useful([0.5, 1e-4]) == [False, False]
    assert useful([np.nan, np.nan]) == [False, False]


def test_a_new_stage_carries_what_was_learned_to_more_rungs_or_fewer():
    one, two = tuning(), tuning(temperatures=(1.0, 3.0))
    learned = with_mean(one, states(0)[0])._replace(interweave=np.array([-5.0, 1.0]))
    both = round_of(states(0), one).moments | round_of(states(0)[:, :, :1], one, "global").moments
    moments = absorb_moments(
        first_moments(one),
        one,
        [statistics_of(moments=both)],
        REPLICAS,
        0,
    )
    wider = adaptation.carried(learned, two, moments, small().spec, anew=False)
    assert [len(wider.levels[name]) for name in ("global", "g")] == [1, 2]
    np.testing.assert_array_equal(wider.levels["g"][1].mean, learned.levels["g"][0].mean)
    np.testing.assert_array_equal(wider.betas, two.betas)
    np.testing.assert_array_equal(wider.interweave, learned.interweave)
    assert [len(rungs) for rungs in extended(moments, wider).states.values()] == [1, 2]
    fresh = adaptation.carried(learned, two, moments, small().spec, anew=True)
    np.testing.assert_array_equal(fresh.levels["g"][0].mean, moments.states["g"][0].mean)
    np.testing.assert_array_equal(fresh.levels["g"][0].log_scale, two.levels["g"][0].log_scale)
    narrower = adaptation.carried(wider, one, extended(moments, wider), small().spec, anew=False)
    assert [len(narrower.levels[name]) for name in ("global", "g")] == [1, 1]
