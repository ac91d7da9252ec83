"""Networks learn the slope of a level's density from examples that the ensemble has come by; pure functions.

A network V is fitted to slopes t = L' dU/dx at places z = L^-1 (x - c), L the level's factor, by least squares of
dV/dz - t: force matching, which needs no value of the density. Where the density is only estimated, a slope at a state
of the ensemble is an unbiased estimate of the marginal density's (Fisher's identity), and least squares average it.
Source: Li, Holbrook, Shahbaba and Baldi (2019), Computational Statistics 34, 281-299 (a network's slope in HMC with a
test on the true density); Poyiadjis, Doucet and Singh (2011), Biometrika 98, 65-80 (Fisher's identity).
"""

import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ensemble.protocol.statistics import RoundStatistics
from ensemble.protocol.tuning import LevelTuning, Surrogate, TuningState
from kernels.dynamics.metric import Factor
from kernels.dynamics.network import Network, untrained, whitened_potential

MOST_EXAMPLES = 8192
"""Kept of a level and rung: the newest."""

FEWEST_EXAMPLES = 100
"""With fewer, or fewer than FOR_EACH a coordinate, a network is not trained."""
FOR_EACH = 5

HELD_OUT = 0.2
"""Share of the examples that training does not see, by which it stops."""

STEEP = 9.0
"""Squared slope, in units of its equilibrium mean p, beyond which an example counts for less: far out one slope would
weigh as much as all others."""

FAR, HUGE = 10.0, 1e12
"""Where an example teaches nothing: root mean square of a place's coordinates, and size of a slope, in units of the
metric. A trajectory that runs away from a steep place leaves all bounds within its eight steps, and the parabola is
all that is wanted out there; in 32 bits the square of one such slope is infinite, and no error is less than that."""

RATE, DECAYED, BATCH, EPOCH, MOST_EPOCHS, PATIENCE = 3e-3, 0.01, 256, 100, 40, 8
"""Adam: its first learning rate and what is left of it at the end (a cosine between), examples a step, steps between
looks at the examples held out, how many of these at most, and without a better one before training stops."""

LEAST_ACCEPTED = 0.4
"""Mean acceptance on trial below which a network is dropped: by the gradient about twice as many are accepted."""

SHORTENED = 0.5
"""Factor on the steps of trajectories by a network."""

Lessons = dict[str, tuple[np.ndarray, ...]]
"""Level -> of each rung the examples so far, [N, 2, p]: places, and slopes of the log density."""


class Fitted(NamedTuple):
    """The weights and biases of a network."""

    weights: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]


def untaught(width: int, hidden: tuple[int, ...]) -> Surrogate:
    """Before training: a network that is not used."""
    return Surrogate(untrained(width, hidden), np.asarray(0), np.asarray(np.nan), np.zeros(2))


def learns(tuning: TuningState) -> bool:
    """Whether a level has a network."""
    return any(rung.surrogate is not None for rungs in tuning.levels.values() for rung in rungs)


def no_lessons(tuning: TuningState) -> Lessons:
    """Before the first example."""
    return {
        name: tuple(np.zeros((0, 2, len(rung.mean))) for rung in rungs)
        for name, rungs in tuning.levels.items()
        if rungs[0].surrogate is not None
    }


def with_examples(lessons: Lessons, statistics: Sequence[RoundStatistics]) -> Lessons:
    """The lessons with the finite ones of a round's examples, in the order of the shards; the oldest give way."""
    found = dict(lessons)
    for name, rungs in lessons.items():
        seen = [shard.examples[name] for shard in statistics if shard.examples is not None]
        found[name] = tuple(
            _newest([old, *(np.asarray(of_shard[rung]) for of_shard in seen)]) for rung, old in enumerate(rungs)
        )
    return found


def _newest(parts: list[np.ndarray]) -> np.ndarray:
    examples = np.concatenate(parts)
    return examples[np.isfinite(examples).all(axis=(1, 2))][-MOST_EXAMPLES:]


def taught(tuning: TuningState, lessons: Lessons, seed: int) -> TuningState:
    """The tuning with networks that were trained on the lessons; steps half as long by their force, which costs
    little. A rung with too few examples stays as it is."""
    levels = dict(tuning.levels)
    for name, examples in lessons.items():
        levels[name] = tuple(
            _taught(old, examples[rung], (seed, zlib.crc32(name.encode()), rung))
            for rung, old in enumerate(tuning.levels[name])
        )
    return tuning._replace(levels=levels)


def _taught(old: LevelTuning, examples: np.ndarray, seeds: tuple[int, ...]) -> LevelTuning:
    surrogate = old.surrogate
    assert surrogate is not None
    if len(examples) < max(FEWEST_EXAMPLES, FOR_EACH * len(old.mean)):
        return old._replace(surrogate=surrogate._replace(examples=np.asarray(len(examples))))
    network, error = trained(surrogate.network, old, examples, seeds)
    if not network.trained:
        return old._replace(surrogate=surrogate._replace(examples=np.asarray(len(examples))))
    learned = Surrogate(network, np.asarray(len(examples)), np.asarray(error), np.zeros(2))
    return old._replace(surrogate=learned, log_scale=old.log_scale + np.log(SHORTENED))


def settled(tuning: TuningState) -> TuningState:
    """The tuning as it is frozen: networks whose trajectories were accepted too seldom are not used, and steps are
    again those by the gradient."""
    levels = {}
    for name, rungs in tuning.levels.items():
        levels[name] = tuple(rung if _passed(rung.surrogate) else _dropped(rung) for rung in rungs)
    return tuning._replace(levels=levels)


def _passed(surrogate: Surrogate | None) -> bool:
    """Whether there is none in use, or its trajectories are accepted often enough."""
    if surrogate is None or not surrogate.network.trained:
        return True
    accepted, rounds = surrogate.trial
    return bool(accepted >= LEAST_ACCEPTED * rounds and rounds > 0)


def _dropped(rung: LevelTuning) -> LevelTuning:
    assert rung.surrogate is not None
    network = rung.surrogate.network._replace(trained=np.asarray(False))
    return rung._replace(
        surrogate=rung.surrogate._replace(network=network), log_scale=rung.log_scale - np.log(SHORTENED)
    )


def told(levels: Mapping[str, tuple[LevelTuning, ...]]) -> list[str]:
    """What a user is told of the networks as `sample` begins: of the coldest rung of each level that has one."""
    return [_sentence(name, rungs[0].surrogate) for name, rungs in levels.items() if rungs[0].surrogate is not None]


def _sentence(name: str, surrogate: Surrogate | None) -> str:
    assert surrogate is not None
    accepted, rounds = surrogate.trial
    if not rounds:
        return (
            f"level {name}: its network had {int(surrogate.examples)} examples, too few to be trained; trajectories "
            "follow the gradient. More of equilibrate.refine_rounds or ensemble.replicas give more"
        )
    found = (
        f"level {name}: a network learned the gradient from {int(surrogate.examples):,} examples (error "
        f"{float(surrogate.error):.2g} of the slopes' variation on those held out), and {accepted / rounds:.2f} of its "
        "trajectories were accepted on trial"
    )
    if surrogate.network.trained:
        return f"{found}: `sample` follows it, and accepts on the true density"
    return f"{found}, fewer than {LEAST_ACCEPTED}: it is dropped, and `sample` follows the gradient"


def trained(blank: Network, level: LevelTuning, examples: np.ndarray, seeds: tuple[int, ...]) -> tuple[Network, float]:
    """A network of the form of `blank`, trained on examples [N, 2, p], and its error on those held out; the blank one
    where too few of them teach.

    seeds: of its first weights, of what is held out and of the batches.
    """
    rng, factor = np.random.default_rng(seeds), _matrix(level.factor)
    center, whiten = level.mean[:, 0], np.linalg.inv(factor)
    places, slopes = (examples[:, 0] - center) @ whiten.T, -examples[:, 1] @ factor
    teaches = (np.mean(places**2, axis=1) <= FAR**2) & (np.max(np.abs(slopes), axis=1) <= HUGE)
    places, slopes = places[teaches], slopes[teaches]
    if len(places) < FEWEST_EXAMPLES:
        return blank, np.nan
    order, held = rng.permutation(len(places)), max(1, int(HELD_OUT * len(places)))
    batches = rng.integers(held, len(places), size=(MOST_EPOCHS, EPOCH, BATCH))
    known = jax.tree.map(lambda values: jnp.asarray(values, jnp.float32), (places[order], slopes[order]))
    weights, biases, error = _descended(_first_weights(blank, rng), known, held, batches)
    return Network(center, whiten, weights, biases, np.asarray(True)), error


def _matrix(factor: Factor) -> np.ndarray:
    """L, [p, p], of a dense or diagonal factor of one block."""
    assert isinstance(factor, np.ndarray)
    return factor[:, :, 0] if factor.ndim == 3 else np.diag(factor[:, 0])


def _first_weights(blank: Network, rng: np.random.Generator) -> Fitted:
    """Random weights of the scale that keeps units of order 1; 0 in the last layer: at first it is the parabola."""
    *inner, last = blank.weights
    weights = [*(rng.normal(size=w.shape) / np.sqrt(w.shape[0]) for w in inner), np.zeros(last.shape)]
    biases = [0.5 * rng.normal(size=b.shape) for b in blank.biases]
    return Fitted(*(tuple(jnp.asarray(values, jnp.float32) for values in part) for part in (weights, biases)))


def _descended(
    start: Fitted, known: tuple[jax.Array, jax.Array], held: int, batches: np.ndarray
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], float]:
    """The weights and biases with the least error on the first `held` examples, and that error, of those met on the
    way; in float64. known: places and slopes, [N, p]."""
    steps = MOST_EPOCHS * EPOCH
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, steps, DECAYED))
    now, state = start, optimiser.init(start)
    best, least, since = start, float(_error(start, *(x[:held] for x in known))), 0
    for epoch in batches:
        now, state = _epoch(now, state, *known, jnp.asarray(epoch), optimiser)
        error = float(_error(now, *(x[:held] for x in known)))
        better = error < least
        best, least, since = (now, error, 0) if better else (best, least, since + 1)
        if since >= PATIENCE:
            break
    weights, biases = jax.tree.map(lambda values: np.asarray(values, np.float64), best)
    return weights, biases, least


def _slopes(fitted: Fitted, places: jax.Array) -> jax.Array:
    """dV/dz at places [N, p]."""
    width = places.shape[1]
    network = Network(jnp.zeros(width), jnp.eye(width), *fitted, jnp.asarray(True))
    return jax.vmap(jax.grad(lambda z: whitened_potential(network, z)))(places)


@jax.jit
def _error(fitted: Fitted, places: jax.Array, slopes: jax.Array) -> jax.Array:
    """Weighted squares of the errors of slopes over those of the slopes themselves."""
    weights = _weights(slopes)[:, None]
    return jnp.sum(weights * (_slopes(fitted, places) - slopes) ** 2) / jnp.sum(weights * slopes**2)


def _weights(slopes: jax.Array) -> jax.Array:
    """Of examples by their squared slopes, [N]."""
    return 1.0 / jnp.maximum(1.0, jnp.sum(slopes**2, axis=1) / (STEEP * slopes.shape[1]))


@partial(jax.jit, static_argnames="optimiser")
def _epoch(
    fitted: Fitted,
    state: optax.OptState,
    places: jax.Array,
    slopes: jax.Array,
    batches: jax.Array,
    optimiser: optax.GradientTransformation,
) -> tuple[Fitted, optax.OptState]:
    """Steps of Adam down the mean weighted squared error of the slopes. batches: numbers of examples, [steps, N]."""

    def step(carry: tuple[Fitted, optax.OptState], batch: jax.Array) -> tuple[tuple[Fitted, optax.OptState], None]:
        (now, state), there = carry, slopes[batch]

        def loss(fitted: Fitted) -> jax.Array:
            wrong = _slopes(fitted, places[batch]) - there
            return jnp.mean(_weights(there) * jnp.mean(wrong**2, axis=1))

        updates, state = optimiser.update(jax.grad(loss)(now), state, now)
        return (optax.apply_updates(now, updates), state), None

    found: tuple[Fitted, optax.OptState] = jax.lax.scan(step, (fitted, state), batches)[0]
    return found
