"""The rule: how often it is wrong about data from the model, and that it finds what is planted."""

import numpy as np
import pytest
from scipy.stats import binom

from workflows.modelling.checks import Family
from workflows.results.fit.replicates import DATA_SETS, Replicated
from workflows.results.fit.verdict import FITS, MISFIT, SMALL, UNJUDGED, Verdict, judge

K = 12


def family(k: int = K, matters: float = 1.0, **what) -> Family:
    return Family("numbers", tuple(map(str, range(k))), matters, **what)


def apart(observed: np.ndarray, replicated: np.ndarray, **what) -> Verdict:
    observed = np.atleast_1d(observed)
    return judge(Replicated(family(observed.size, **what), observed, replicated))


def dependent(rng: np.random.Generator) -> np.ndarray:
    """Correlated normals, of scales from 1 to 1e6."""
    return (rng.normal(size=(DATA_SETS + 1, 1)) + rng.normal(size=(DATA_SETS + 1, K))) * np.logspace(0, 6, K)


def heavy(rng: np.random.Generator) -> np.ndarray:
    """Largest of some, without a variance, beside sums."""
    x = rng.standard_t(1.5, size=(DATA_SETS + 1, K, 20))
    return np.concatenate([x.max(axis=2), x.sum(axis=2)], axis=1)


@pytest.mark.parametrize("draw", [dependent, heavy])
def test_data_from_the_model_are_apart_once_in_so_many(draw) -> None:
    """Exactly once in DATA_SETS + 1 where nothing ties: of 2,000 families as many as a binomial allows, 1e-6 on both
    sides together."""
    rng = np.random.default_rng(0)
    tries, found = 2000, 0
    for _ in range(tries):
        values = draw(rng)
        found += apart(values[0], values[1:]).apart.any()
    low, high = binom.ppf([5e-7, 1 - 5e-7], tries, 1 / (DATA_SETS + 1))
    assert low <= found <= high


def test_ties_make_it_rarer() -> None:
    """Shares of few: whole numbers of 30, most of them equal."""
    rng = np.random.default_rng(1)
    tries, found = 1000, 0
    for _ in range(tries):
        values = rng.binomial(30, 0.02, size=(DATA_SETS + 1, K)) / 30
        found += apart(values[0], values[1:]).apart.any()
    assert found <= binom.ppf(1 - 1e-6, tries, 1 / (DATA_SETS + 1))


def test_a_rare_count_does_not_set_the_measure_for_all() -> None:
    """Of 10,000 people a share of .4, and 30 counts that one in 20,000 reports: data whose share is off by 6 of its
    standard deviations are apart, however odd the rare counts of some data set are."""
    rng = np.random.default_rng(7)
    p = np.array([0.4, *np.full(30, 5e-5)])
    values = rng.binomial(10_000, p, size=(DATA_SETS + 1, p.size)) / 10_000
    values[0, 0] = 0.4 + 6 * np.sqrt(0.24 / 10_000)
    found = apart(values[0], values[1:], share=True, matters=0.01)
    np.testing.assert_array_equal(np.flatnonzero(found.apart), [0])
    assert found.judgement == MISFIT
    assert 0.4 < found.widest[1, 0] < values[0, 0]


def shares(observed: float, others: float = 0.2) -> Verdict:
    """Predictions about .2, sd .01 and .001: the first statistic off."""
    replicated = np.random.default_rng(2).normal(others, [0.01, 0.001], size=(DATA_SETS, 2))
    return judge(Replicated(family(2, 0.05, share=True), np.array([observed, 0.2]), replicated))


def test_what_is_off_by_much_is_a_misfit_and_by_little_a_small_one() -> None:
    assert shares(0.21).judgement == FITS
    small = shares(0.245)
    assert small.judgement == SMALL
    large = shares(0.3)
    assert large.judgement == MISFIT
    assert large.text == "predicts 20.1% for 0, 30% seen"
    np.testing.assert_array_equal(large.apart, [True, False])


def test_a_large_difference_that_chance_explains_fits() -> None:
    replicated = np.random.default_rng(3).normal(0.0, 10.0, size=(DATA_SETS, 1))
    assert apart(np.array([15.0]), replicated, matters=0.1).judgement == FITS


def test_only_the_side_that_counts_is_looked_at() -> None:
    replicated = np.random.default_rng(4).normal(size=(DATA_SETS, 1))
    for observed, side, judgement in ((9.0, 1, MISFIT), (9.0, -1, FITS), (-9.0, 1, FITS), (-9.0, -1, MISFIT)):
        assert apart(np.array([observed]), replicated, side=side).judgement == judgement


def test_predictions_that_are_all_equal() -> None:
    """The same in the data fits; anything else is apart, but for rounding."""
    same = np.full((DATA_SETS, 1), 0.1)
    assert apart(np.array([0.1]), same).judgement == FITS
    assert apart(np.array([3.0]), same).judgement == MISFIT


def test_statistics_that_are_not_finite_are_left_out_and_said() -> None:
    replicated = np.random.default_rng(5).normal(size=(DATA_SETS, 2))
    replicated[3, 0] = np.nan
    found = apart(np.array([0.0, 0.0]), replicated)
    assert found.judgement == FITS
    assert found.text == "1 of 2 are left out, not finite in every data set"
    assert apart(np.array([0.0, 50.0]), replicated).judgement == MISFIT
    replicated[7, 1] = np.inf
    assert apart(np.array([0.0, 0.0]), replicated).judgement == UNJUDGED


def test_shares_of_larger_predictions_and_their_errors() -> None:
    replicated = np.arange(DATA_SETS, dtype=float)[:, None]
    found = apart(np.array([49.0]), replicated)
    # 150 of 200 are larger and one is as large.
    np.testing.assert_allclose(found.p, 150.5 / DATA_SETS)
    np.testing.assert_allclose(found.error, np.sqrt(0.7525 * 0.2475 / DATA_SETS))
    np.testing.assert_allclose(found.between[:, 0], np.quantile(replicated, [0.025, 0.975]))


def test_the_range_beyond_which_one_is_apart() -> None:
    """Just inside it is not apart, and far outside it is."""
    replicated = np.random.default_rng(6).gamma(1.0, size=(DATA_SETS, 1))
    low, high = apart(np.array([0.7]), replicated).widest[:, 0]
    assert low <= replicated.min()
    assert high == pytest.approx(replicated.max(), rel=0.5)
    assert not apart(np.array([0.99 * replicated.max()]), replicated).apart.any()
    assert apart(np.array([3 * replicated.max()]), replicated).apart.all()
