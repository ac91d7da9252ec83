"""False sign rates, s-values and their order, against values worked out by hand."""

import numpy as np

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
    even = np.full((4, 4), 0.25)
    np.testing.assert_allclose(false_or_small(draws, even, 0.1), [0.25, 0.25, 0.25, 1.0], rtol=1e-14)
    np.testing.assert_allclose(false_or_small(draws, even, 0.0), [0.0, 0.0, 0.25, 0.5], rtol=1e-14)
    uneven = np.tile([[0.1], [0.2], [0.3], [0.4]], 4)
    np.testing.assert_allclose(false_or_small(draws, uneven, 0.1), [0.3, 0.4, 0.2, 1.0], rtol=1e-14)


def test_the_order_is_by_wrong_calls_then_false_signs_then_size() -> None:
    wrong, signs = np.array([0.0, 0.1, 0.0, 0.0, 0.0]), np.array([0.0, 0.1, 0.0, 0.0, 1e-6])
    np.testing.assert_array_equal(ranking(wrong, signs, np.array([1.0, 9.0, -3.0, 2.0, 50.0])), [2, 3, 0, 4, 1])
