"""False sign rates, s-values and their order, against values worked out by hand."""

import numpy as np
from scipy import stats

from workflows.models.genes.signs import Signs, false_or_small, of_draws, ranking, s_values


def test_rates_count_draws_on_either_side() -> None:
    draws = np.array([[1.0, -1.0, 1.0, 0.0], [2.0, -1.0, -3.0, 1.0], [3.0, -2.0, 4.0, 1.0], [1.0, -5.0, 2.0, 2.0]])
    signs = of_draws(draws)
    np.testing.assert_array_equal(signs.negative, [0.0, 1.0, 0.25, 0.125])
    assert signs.counted == 4
    np.testing.assert_array_equal(signs.false_sign_rate, [0.0, 0.0, 0.25, 0.125])


def test_a_better_count_may_come_from_elsewhere() -> None:
    np.testing.assert_allclose(Signs(np.array([1e-6, 1 - 1e-5]), 10**6).false_sign_rate, [1e-6, 1e-5], rtol=1e-9)


def test_an_s_value_is_the_mean_of_the_rates_up_to_it() -> None:
    """Sorted: 0, .1, .1, .4: means 0, (0 + .1 + .1) / 3 for both that tie, .6 / 4."""
    np.testing.assert_allclose(s_values(np.array([0.1, 0.4, 0.0, 0.1])), [0.2 / 3, 0.15, 0.0, 0.2 / 3], rtol=1e-14)


def test_a_call_is_wrong_where_the_sign_is_or_the_effect_is_small() -> None:
    draws = np.array([[1.0, -1.0, 0.4, 0.05], [2.0, -1.0, -0.4, 0.0], [0.1, -2.0, 0.4, -0.1], [0.2, -0.05, 0.4, 0.1]])
    rates = np.array([1e-6, 0.3, 0.25, 0.5])
    np.testing.assert_allclose(false_or_small(draws, 0.1, rates), [0.25, 0.3, 0.25, 1.0], rtol=1e-14)
    np.testing.assert_allclose(false_or_small(draws, 0.0, 0.0 * rates), [0.0, 0.0, 0.25, 0.5], rtol=1e-14)


def test_few_calls_are_wrong_where_a_tenth_of_the_genes_changes() -> None:
    """Effects N(0, 1) of every tenth gene, the others exactly 0, seen with an error of .25, under the prior that fits
    them best of all Student t (scale .04, 1.05 degrees of freedom: by maximum likelihood of 2,000 such genes): of the
    calls at most 6% are wrong, and as many of the changed are found as by Benjamini and Hochberg; false sign rates
    alone would call one in five wrongly. By quadrature; the sd of the share over 20,000 genes is .005.
    """
    rng = np.random.default_rng(0)
    effects = np.where(np.arange(20_000) % 10 == 0, rng.normal(size=20_000), 0.0)
    seen = effects + 0.25 * rng.normal(size=20_000)
    nodes = np.concatenate([-np.geomspace(30.0, 1e-4, 400), np.geomspace(1e-4, 30.0, 400)])
    prior = stats.t.pdf(nodes / 0.04, 1.05) * np.gradient(nodes)
    weights = prior * np.exp(-0.5 * ((seen[:, None] - nodes) / 0.25) ** 2)
    weights /= weights.sum(axis=1, keepdims=True)
    up, down, false = (weights[:, of].sum(axis=1) for of in (nodes > 0.1, nodes < -0.1, nodes < 0.0))
    called = s_values(1.0 - np.maximum(up, down)) <= 0.05
    assert np.mean(np.sign(effects[called]) != np.where(up > down, 1, -1)[called]) < 0.06
    by_sign = s_values(np.minimum(false, 1.0 - false)) <= 0.05
    assert np.mean(effects[by_sign] == 0.0) > 0.15
    tests = 2.0 * stats.norm.sf(np.abs(seen) / 0.25)
    found = stats.false_discovery_control(tests) <= 0.05
    assert np.sum(called & (effects != 0.0)) >= np.sum(found & (effects != 0.0))


def test_the_order_is_by_wrong_calls_then_false_signs_then_size() -> None:
    wrong, signs = np.array([0.0, 0.1, 0.0, 0.0, 0.0]), np.array([0.0, 0.1, 0.0, 0.0, 1e-6])
    np.testing.assert_array_equal(ranking(wrong, signs, np.array([1.0, 9.0, -3.0, 2.0, 50.0])), [2, 3, 0, 4, 1])
