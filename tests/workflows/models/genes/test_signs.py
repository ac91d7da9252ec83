"""False sign rates, s-values and their order, against values worked out by hand."""

import numpy as np

from workflows.models.genes.signs import Signs, of_draws, ranking, s_values


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


def test_the_order_is_by_rate_then_size() -> None:
    np.testing.assert_array_equal(
        ranking(np.array([0.0, 0.1, 0.0, 0.0]), np.array([1.0, 9.0, -3.0, 2.0])), [2, 3, 0, 1]
    )
