"""Networks learn slopes: of a density known by formula, through noise, by the seed alone; poor ones are dropped."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ensemble.adaptation.surrogates import lessons, teaching, training
from ensemble.protocol.statistics import Lessons, RoundStatistics
from ensemble.protocol.tuning import LevelTuning
from kernels.dynamics.network import learned_potential

HIDDEN = (32, 32)
MEAN, SCALE = np.array([3.0, -200.0]), np.array([0.1, 50.0])


def banana(x: np.ndarray) -> np.ndarray:
    """Slopes [N, 2] of the log density -a^2 / 2 - (b - a^2)^2 at x = MEAN + SCALE (a, b)."""
    a, b = ((x - MEAN) / SCALE).T
    bend = 2.0 * (b - a**2)
    return np.stack([-a + 2.0 * a * bend, -bend], axis=1) / SCALE


def draws(number: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=number)
    b = a**2 + rng.normal(size=number) / np.sqrt(2.0)
    return MEAN + SCALE * np.stack([a, b], axis=1)


def level(hidden: tuple[int, ...] = HIDDEN) -> LevelTuning:
    """One block of two coordinates under a metric of about the right size."""
    return LevelTuning(
        log_scale=np.array([-0.5]),
        mean=(MEAN + SCALE * np.array([0.0, 1.0]))[:, None],
        factor=np.diag(SCALE * np.array([0.6, 1.2]))[:, :, None],
        mix=np.zeros(1),
        surrogate=teaching.untaught(2, hidden),
    )


def height(x: np.ndarray) -> np.ndarray:
    a, b = ((x - MEAN) / SCALE).T
    return -(a**2) / 2.0 - (b - a**2) ** 2


def examples(number: int, noise: float = 0.0, seed: int = 0) -> Lessons:
    """noise: in units of 1 / SCALE, on every slope."""
    x = draws(number, seed)
    rough = np.random.default_rng([seed, 1]).normal(size=x.shape) * noise / SCALE
    return Lessons(x, banana(x) + rough, height(x))


def fitted(known: Lessons, seeds: tuple[int, ...] = (0,)) -> training.Trained:
    """A network trained on examples in the frame of `level`."""
    blank, frame = level().surrogate, training.frame_of(level())
    assert blank is not None
    return training.trained(blank.network, frame, frame.whitened(known), seeds)


def misfit(network: Any, x: np.ndarray) -> float:
    """Squared error of the network's slopes over their squares, in units of SCALE."""
    network = jax.tree.map(jnp.asarray, network)
    found = -np.asarray(jax.vmap(jax.grad(lambda at: learned_potential(network, at)))(jnp.asarray(x)))
    return float(np.sum(((found - banana(x)) * SCALE) ** 2) / np.sum((banana(x) * SCALE) ** 2))


def test_it_learns_the_slopes_of_a_banana_in_units_of_its_own() -> None:
    """Of new draws, to a fiftieth; the parabola alone, with which it begins, misses a third and more of it. Its own
    error is another sum: of its metric, with less weight on steep places."""
    new = draws(500, seed=9)
    network, error, _ = fitted(examples(3000))
    assert misfit(network, new) < 0.02
    assert error < 0.05
    parabola = network._replace(weights=tuple(0.0 * weights for weights in network.weights))
    assert misfit(parabola, new) > 0.3


def test_noise_without_bias_is_averaged() -> None:
    """As the slopes of an estimated likelihood have it: what is learned is the mean. Its variance is 9 a slope here,
    which the error on noisy examples shows, and the error beside the true slopes does not."""
    network, error, _ = fitted(examples(8000, noise=3.0))
    assert error > 0.4
    assert misfit(network, draws(500, seed=9)) < 0.1


def test_the_seed_decides_and_nothing_else() -> None:
    one, again, other = (fitted(examples(300), seeds).network for seeds in [(1, 2), (1, 2), (1, 3)])
    for first, second in zip(jax.tree.leaves(one), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not np.array_equal(one.weights[0], other.weights[0])


class Tuning(NamedTuple):
    """A tuning as far as networks look at it."""

    levels: dict[str, tuple[LevelTuning, ...]]


def tuning_of(rung: LevelTuning) -> Any:
    return Tuning({"whole": (rung,)})


def test_too_few_examples_leave_the_gradient_and_are_told() -> None:
    taught = teaching.taught(tuning_of(level()), {"whole": (examples(teaching.FEWEST_EXAMPLES - 1),)}, seed=0)
    rung = taught.levels["whole"][0]
    assert not rung.surrogate.network.trained
    told = teaching.told(taught.levels)
    assert len(told) == 1
    assert "99 examples, too few" in told[0]
    assert "equilibrate.refine_rounds" in told[0]


@pytest.mark.parametrize(
    ("accepted", "excess", "used"),
    [(0.9, 0.3, True), (0.41, 0.99, True), (0.39, 0.3, False), (0.0, 0.3, False), (0.99, 1.01, False)],
)
def test_what_is_accepted_on_trial_and_how_it_does_in_the_tails_decide(
    accepted: float, excess: float, used: bool
) -> None:
    known = teaching.taught(tuning_of(level()), {"whole": (examples(400),)}, seed=0).levels["whole"][0].surrogate
    assert known is not None
    assert known.network.trained
    tried = known._replace(trial=np.array([10 * accepted, 10.0]), excess=np.asarray(excess))
    frozen = teaching.settled(tuning_of(level()._replace(surrogate=tried))).levels["whole"][0]
    assert bool(frozen.surrogate.network.trained) is used
    (told,) = teaching.told({"whole": (frozen,)})
    assert ("accepts on the true density" in told) is used
    assert ("is dropped" in told) is not used
    assert ("too low by 1" in told) is (excess > 1.0)
    found = teaching.facts(tuning_of(frozen))["whole"]
    assert found["used"] is used
    assert found["accepted_on_trial"] == pytest.approx(accepted)


def test_a_network_without_a_trial_is_dropped_and_told() -> None:
    """Warm-up may end with the round of its training."""
    taught = teaching.taught(tuning_of(level()), {"whole": (examples(400),)}, seed=0)
    frozen = teaching.settled(taught)
    assert not frozen.levels["whole"][0].surrogate.network.trained
    (told,) = teaching.told(frozen.levels)
    assert "from 400 examples" in told
    assert "without a trial: it is dropped" in told


def test_the_excess_is_that_of_a_tail_that_was_never_seen() -> None:
    """Trained on |a| < 1.2 alone a network has the banana's tails too low, by more than it may; with the tails it has
    not. Judged on draws of all."""
    known, judged = examples(4000), examples(2000, seed=5)
    inner = lessons.chosen(known, np.abs(known.places[:, 0] - MEAN[0]) < 1.2 * SCALE[0])
    whitened = training.frame_of(level()).whitened(judged)
    with_tails, without = (teaching.excess(fitted(of)._replace(held_out=whitened)) for of in (known, inner))
    assert with_tails < 0.5 * teaching.MOST_EXCESS
    assert without > 2.0 * teaching.MOST_EXCESS


def test_of_a_density_that_is_only_estimated_the_height_is_not_asked() -> None:
    known = examples(400)._replace(heights=np.full(400, np.nan))
    assert len(training.within(known).heights) == 400
    assert np.isnan(teaching.excess(fitted(known)))


def test_examples_are_the_finite_ones_and_the_newest_in_the_order_of_shards() -> None:
    blank = lessons.none_yet(tuning_of(level()))
    assert blank["whole"][0].places.shape == (0, 2)
    parts = [_constant(1.0), _constant(2.0)]
    parts[0].slopes[0, 0] = np.inf
    collected = lessons.with_lessons(blank, [_saying(part) for part in parts])
    assert collected["whole"][0].places[:, 0].tolist() == [1.0, 2.0, 2.0]
    many = np.arange(2.0 * lessons.MOST_EXAMPLES + 6).reshape(-1, 2)
    collected = lessons.with_lessons(collected, [_saying(Lessons(many, many, many[:, 0]))])
    np.testing.assert_array_equal(collected["whole"][0].slopes, many[-lessons.MOST_EXAMPLES :])


def _constant(value: float) -> Lessons:
    return Lessons(np.full((2, 2), value), np.full((2, 2), value), np.full(2, value))


def test_examples_of_trajectories_that_went_astray_are_left_out() -> None:
    """Two depths of a normal law of two coordinates: 2 (9.21 - .69) below the median height."""
    known = examples(teaching.FEWEST_EXAMPLES + 3)
    known.heights[:3] = np.median(known.heights) - np.array([1e40, 17.1, 16.9])
    taught = teaching.taught(tuning_of(level()), {"whole": (known,)}, seed=0)
    assert teaching.facts(taught)["whole"]["examples"] == teaching.FEWEST_EXAMPLES + 1


def _saying(part: Lessons) -> RoundStatistics:
    blank = dict.fromkeys(RoundStatistics._fields)
    return RoundStatistics(**{**blank, "lessons": {"whole": (part,)}})  # type: ignore[arg-type]
