"""Stragglers go where the others are, and what counts as one by chance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.shard.stragglers import by_chance, relocated
from kernels.state import State

D = 50
UNIT = np.sqrt(D / 2)
MEDIAN = -100.0


def states(heights: list[float]) -> State:
    """Replicas numbered by their position, with these log densities."""
    height = jnp.asarray(heights)
    return State({"x": jnp.arange(len(heights), dtype=jnp.float64)[:, None]}, {"term": height[:, None]})


def sources(found: State) -> list[int]:
    return [int(x) for x in found.position["x"][:, 0]]


def test_only_those_far_below_the_median_move_and_to_replicas_that_stay() -> None:
    heights = [MEDIAN + step * UNIT for step in (0.0, -2.9, 0.1, -3.1, 0.0, 9.0, -50.0, 0.1, -0.1)]
    homes = set()
    for seed in range(50):
        found, count = relocated(jax.random.key(seed), states(heights), 3.0, D)
        moved = sources(found)
        assert int(count) == 2
        assert [moved[i] for i in (0, 1, 2, 4, 5, 7, 8)] == [0, 1, 2, 4, 5, 7, 8]
        np.testing.assert_array_equal(found.cells["term"][:, 0], np.asarray(heights)[moved])
        homes |= {moved[3], moved[6]}
    assert homes == {0, 1, 2, 4, 5, 7, 8}


def test_a_wide_ensemble_has_a_wider_unit() -> None:
    """The median absolute deviation is 10 units of a normal law here: 14.8 units a standard deviation."""
    heights = [MEDIAN + step * UNIT for step in (-40.0, -10.0, -10.0, -10.0, 0.0, 10.0, 10.0, 10.0, 40.0)]
    found, count = relocated(jax.random.key(0), states(heights), 3.0, D)
    assert (int(count), sources(found)) == (0, list(range(9)))
    assert int(relocated(jax.random.key(0), states(heights), 2.6, D)[1]) == 1


def test_without_a_limit_nobody_moves() -> None:
    found, count = relocated(jax.random.key(0), states([0.0, 0.0, -1e9]), np.inf, D)
    assert (int(count), sources(found)) == (0, [0, 1, 2])


@pytest.mark.parametrize("d", [1, 5, 51])
def test_chance_is_what_normal_draws_show(d: int) -> None:
    """200,000 draws: the count is within 5.5 standard deviations of its mean but for once in 2e7."""
    draws = 200_000
    heights = -0.5 * np.random.default_rng(d).chisquare(d, draws)
    expected = by_chance(3.0, d)
    seen = (heights < np.median(heights) - 3.0 * np.sqrt(d / 2)).sum()
    assert abs(seen - draws * expected) < 5.5 * np.sqrt(draws * expected)
    assert 0.001 < expected < 0.05
