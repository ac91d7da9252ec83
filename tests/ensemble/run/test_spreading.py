"""An ensemble that spreads without end is told from one that is wide, slow or heavy-tailed."""

from typing import Any

import numpy as np
import pytest

import maxwell
from ensemble.diagnostics.spreads import ImproperPosterior, largest_spreads, log_spread, start_spreads
from ensemble.protocol.statistics import LevelSums, MomentSums, RoundStatistics
from ensemble.run.decisions.spreading import BOUNDLESS, ENDLESS, GROWING, endless, is_growing
from tests.support.models.ensemble_models import WIDTHS, small
from tests.support.statistics import statistics_of

DIMENSION, REPLICAS, SUPERCHAINS = 8, 8, 4
STILL = (((-100.0,),) * SUPERCHAINS,) * 6
MOVING = tuple((((100.0 * round_),),) * SUPERCHAINS for round_ in range(6))


def growth(step: float, rounds: int = 6, first: float = 0.0) -> tuple[tuple[float, ...], ...]:
    """Of two levels, the first of which stands still."""
    return tuple((0.0, first + step * round_) for round_ in range(rounds))


@pytest.mark.parametrize(("step", "rounds", "expected"), [(0.2, 6, False), (0.25, 6, True), (9.0, 5, False)])
def test_growing_is_a_factor_of_two_between_windows_of_three_rounds(step: float, rounds: int, expected: bool) -> None:
    """They lie three rounds apart: growth by log 2 / 3 = .231 a round."""
    assert pytest.approx(0.231, abs=1e-3) == GROWING / 3
    assert is_growing(growth(step, rounds)).tolist() == [False, expected]


@pytest.mark.parametrize(
    ("last", "trace", "starts", "expected"),
    [
        (ENDLESS + 0.1, STILL, 0.0, [1]),
        (ENDLESS - 0.1, STILL, 0.0, []),
        (ENDLESS + 0.1, MOVING, 0.0, []),
        (BOUNDLESS + 0.1, MOVING, 0.0, [1]),
        (ENDLESS + 0.1, STILL, 1.0, []),
    ],
    ids=["endless", "wide", "arriving", "whatever moves", "starts as wide"],
)
def test_endless_is_wide_growing_and_nothing_moves_with_it(
    last: float, trace: Any, starts: float, expected: list[int]
) -> None:
    spreads = growth(1.0, first=last - 5.0)
    assert endless(spreads, (0.0, starts), trace, DIMENSION, REPLICAS) == expected


def test_a_huge_spread_that_grows_no_more_is_a_scale() -> None:
    assert endless(growth(0.1, first=30.0), (0.0, 0.0), STILL, DIMENSION, REPLICAS) == []


def statistics(x: np.ndarray) -> list[RoundStatistics]:
    """Of states [superchains, replicas, p, B] of the level `g`."""
    sums = [MomentSums(one.sum(axis=0), np.einsum("rib,rjb->ijb", one, one)) for one in x]
    lp = np.zeros(x.shape[1])
    return [statistics_of(lp=lp)._replace(moments={"g": (LevelSums(one),)}) for one in sums]


def test_the_spread_is_within_superchains_and_one_alone_does_not_decide() -> None:
    """Means over superchains of log sd, by NumPy; a superchain 1e9 wide among four moves them by a quarter of that."""
    level = small().structure.level("g")
    x = np.random.default_rng(0).normal(size=(SUPERCHAINS, REPLICAS, level.width, level.n_blocks))
    found = log_spread(statistics(x), level, REPLICAS)
    np.testing.assert_allclose(found, np.log(x.std(axis=1)).mean(axis=0))
    x[0] *= 1e9
    np.testing.assert_allclose(log_spread(statistics(x), level, REPLICAS) - found, np.log(1e9) / SUPERCHAINS)


def test_spreads_of_one_replica_are_not_known_and_start_nothing() -> None:
    structure = small().structure
    alone = statistics(np.ones((SUPERCHAINS, 1, *WIDTHS["g"])))
    row = largest_spreads(alone, structure, 1)
    assert np.isnan(row).all()
    assert start_spreads(alone, structure, 1) == (0.0, 0.0)
    assert endless((row,) * 6, (0.0, 0.0), STILL, DIMENSION, 1) == []


def test_draws_of_a_cauchy_are_never_endless() -> None:
    """The largest of 8 draws decides their sd, and P(log sd > y) = 1.8 e^-y in its tail: the mean of four exceeds y in
    1.8^4 (4 y)^3 / 6 e^-4y of cases. In 2,000 rounds of 10 coordinates log 1e8 is exceeded with a chance of 1e-22, and
    half of that, which is held here, of 2e-7."""
    level = small().structure.level("g")
    rng = np.random.default_rng(1)
    shape = (SUPERCHAINS, REPLICAS, level.width, level.n_blocks)
    rows = tuple(
        (0.0, float(log_spread(statistics(rng.standard_cauchy(shape)), level, REPLICAS).max())) for _ in range(2000)
    )
    assert max(row[1] for row in rows) < ENDLESS / 2
    assert all(endless(rows[: n + 6], (0.0, 0.0), STILL, DIMENSION, REPLICAS) == [] for n in range(len(rows) - 6))


def flat(position: Any, data: Any) -> Any:
    return -0.5 * (position["a"] + position["b"]) ** 2 - 0.5 * position["c"] ** 2


def cauchy(position: Any, data: Any) -> Any:
    """Three of scale 1e3, about 1e3: far from the starts, and slow to arrive in their tails."""
    import jax.numpy as jnp

    return -jnp.sum(jnp.log1p((position["x"] / 1e3 - 1.0) ** 2))


def flat_box(position: dict[str, np.ndarray]) -> np.ndarray:
    return np.zeros(len(position["x"]))


SHORT: dict[str, Any] = {"local": True, "progress": False, "ensemble": {"replicas": 16}, "limits": {"sweeps": 1200}}


def test_what_the_data_do_not_tell_apart_is_named() -> None:
    """a + b has a posterior, a - b none; c has one."""
    with pytest.raises(ImproperPosterior, match=r"spreads without end in a, b, by now") as caught:
        maxwell.sample(maxwell.function_model(flat, {"a": (), "b": (), "c": ()}), **SHORT)
    assert caught.value.run.summary()["stage"] != "sample"


def test_a_constant_black_box_is_improper() -> None:
    with pytest.raises(ImproperPosterior, match=r"in x\[0\], x\[1\], by now"):
        maxwell.sample(maxwell.black_box_model(flat_box, {"x": 2}, name="flat"), **SHORT)


def test_a_proper_posterior_of_heavy_tails_far_from_its_starts_is_sampled() -> None:
    run = maxwell.sample(maxwell.function_model(cauchy, {"x": 3}), **SHORT)
    assert run.summary()["stage"] == "sample"
