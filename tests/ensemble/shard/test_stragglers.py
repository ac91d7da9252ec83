"""Stragglers go where the others are, and what counts as one by chance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.run.decisions.floor import by_chance, floor_of
from ensemble.run.decisions.stragglers import behind, fallen
from ensemble.shard.stragglers import relocated
from kernels.state import State

D = 50
UNIT = np.sqrt(D / 2)
MEDIAN = -100.0


def everybody(count: int) -> jax.Array:
    """All replicas stood below the floor before."""
    return jnp.ones(count, bool)


def nobody(count: int) -> jax.Array:
    """No replica is astray."""
    return jnp.zeros(count, bool)


def states(heights: list[float]) -> State:
    """Replicas numbered by their position, with these log densities."""
    height = jnp.asarray(heights)
    return State({"x": jnp.arange(len(heights), dtype=jnp.float64)[:, None]}, {"term": height[:, None]})


def sources(found: State) -> list[int]:
    return [int(x) for x in found.position["x"][:, 0]]


def test_only_those_below_the_floor_move_and_to_replicas_that_stay() -> None:
    heights = [MEDIAN + step * UNIT for step in (0.0, -2.9, 0.1, -3.1, 0.0, 9.0, -50.0, 0.1, -0.1)]
    floor, homes = floor_of(np.asarray(heights), D, 3.0), set()
    for seed in range(50):
        found, count = relocated(jax.random.key(seed), states(heights), jnp.asarray(floor), everybody(9), nobody(9))
        moved = sources(found)
        assert int(count) == 2
        assert [moved[i] for i in (0, 1, 2, 4, 5, 7, 8)] == [0, 1, 2, 4, 5, 7, 8]
        np.testing.assert_array_equal(found.cells["term"][:, 0], np.asarray(heights)[moved])
        homes |= {moved[3], moved[6]}
    assert homes == {0, 1, 2, 4, 5, 7, 8}


def test_a_log_density_that_is_no_number_is_below_any_floor() -> None:
    found, count = relocated(
        jax.random.key(0), states([MEDIAN, np.nan, -np.inf]), jnp.asarray(-1e300), everybody(3), nobody(3)
    )
    assert (int(count), sources(found)) == (2, [0, 0, 0])


def test_a_superchain_all_of_which_is_lost_stays_where_it_is() -> None:
    found, count = relocated(jax.random.key(0), states([-5.0, -6.0, -7.0]), jnp.asarray(0.0), everybody(3), nobody(3))
    assert (int(count), sources(found)) == (3, [0, 1, 2])


def test_those_astray_go_too_and_nobody_goes_to_them() -> None:
    heights, astray = [MEDIAN] * 3 + [MEDIAN - 1e6, MEDIAN], jnp.asarray([False, True, False, False, False])
    homes = set()
    for seed in range(50):
        found, count = relocated(jax.random.key(seed), states(heights), jnp.asarray(MEDIAN - 1e3), everybody(5), astray)
        moved = sources(found)
        assert int(count) == 2
        assert [moved[i] for i in (0, 2, 4)] == [0, 2, 4]
        homes |= {moved[1], moved[3]}
    assert homes == {0, 2, 4}


def test_who_was_not_below_the_floor_before_stays_there_now() -> None:
    was = jnp.asarray([False, True, False])
    found, count = relocated(jax.random.key(0), states([-5.0, -9.0, -9.0]), jnp.asarray(-7.0), was, nobody(3))
    assert int(count) == 1
    assert sources(found)[::2] == [0, 2]
    assert sources(found)[1] in (0, 2)


def test_who_fell_from_among_the_others_is_no_straggler_any_more() -> None:
    """Of five replicas one falls, one was low before, one rises, one is no number, one began the round elsewhere."""
    before, now = (-5.0, -9.0, -9.0, -5.0, -5.0), (-9.0, -9.5, -5.0, np.nan, -9.0)
    known = fallen((), before, now, -7.0, {4})
    assert known == (0,)
    assert behind(now, -7.0, known) == (1, 3, 4)
    assert fallen(known, now, (-11.0, -5.0, -5.0, -5.0, -5.0), -7.0, set()) == (0,)
    assert fallen(known, now, (-5.0,) * 5, -7.0, {0}) == ()


def test_nobody_is_behind_or_falls_where_there_is_no_floor() -> None:
    assert fallen((), (-5.0,), (-9.0,), None, set()) == ()
    assert fallen((), (), (-9.0,), -7.0, set()) == ()
    assert behind((-9.0,), None, ()) == ()


def test_a_wide_ensemble_has_a_lower_floor() -> None:
    """The median absolute deviation is 10 units of a normal law here: 14.8 units a standard deviation."""
    heights = np.array([MEDIAN + step * UNIT for step in (-40.0, -10.0, -10.0, -10.0, 0.0, 10.0, 10.0, 10.0, 40.0)])
    assert floor_of(heights, D, 3.0) == pytest.approx(MEDIAN - 3.0 * 14.826 * UNIT)
    assert [(heights < floor_of(heights, D, furthest)).sum() for furthest in (3.0, 2.6)] == [0, 1]


def test_the_floor_of_a_narrow_ensemble_is_that_of_a_normal_density() -> None:
    heights = np.full(9, MEDIAN)
    assert floor_of(heights, D, 3.0) == pytest.approx(MEDIAN - 3.0 * UNIT)
    assert floor_of(heights, D, np.inf) == -np.inf


@pytest.mark.parametrize("lost", [np.nan, -np.inf])
def test_without_a_finite_median_nobody_is_below_the_floor(lost: float) -> None:
    heights = np.array([MEDIAN, lost, lost, lost])
    with np.errstate(invalid="ignore"):
        assert floor_of(heights, D) == -np.inf


def test_a_few_without_a_density_do_not_move_the_floor() -> None:
    """Of 40 replicas, two at minus infinity."""
    heights = MEDIAN - 0.5 * np.random.default_rng(0).chisquare(D, 40)
    with_lost = np.concatenate([heights[:38], [-np.inf, -np.inf]])
    floor = floor_of(with_lost, D)
    assert np.isfinite(floor)
    assert (heights > floor).all()


@pytest.mark.parametrize("d", [1, 2, 16, 1000])
def test_no_draw_of_a_normal_density_falls_below_the_floor(d: int) -> None:
    """Twice as far from the median as what one draw in 100,000 falls below: at d = 1 that leaves 5e-10 a draw, more
    than at any larger d. Of 50 ensembles of 32 draws one falls below once in a million times."""
    heights = -0.5 * np.random.default_rng(d).chisquare(d, (50, 32))
    assert all((row > floor_of(row, d)).all() for row in heights)


def test_a_replica_on_a_plateau_falls_below_the_floor() -> None:
    """Twice the distance of a draw in 100,000 is some 30 to 40 units of log density for 16 coordinates."""
    heights = -0.5 * np.random.default_rng(0).chisquare(16, 32)
    heights[3] = heights.min() - 60.0
    assert list(np.flatnonzero(heights < floor_of(heights, 16))) == [3]


@pytest.mark.parametrize("d", [1, 5, 51])
def test_chance_is_what_normal_draws_show(d: int) -> None:
    """200,000 draws: the count is within 5.5 standard deviations of its mean but for once in 2e7."""
    draws = 200_000
    heights = -0.5 * np.random.default_rng(d).chisquare(d, draws)
    expected = by_chance(3.0, d)
    seen = (heights < np.median(heights) - 3.0 * np.sqrt(d / 2)).sum()
    assert abs(seen - draws * expected) < 5.5 * np.sqrt(draws * expected)
    assert 0.001 < expected < 0.05
