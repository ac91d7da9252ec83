"""A network is fitted to the slopes of a density by least squares; a pure function of examples and a seed.

A network V is fitted to slopes t = L' dU/dx at places z = L^-1 (x - c), L the level's factor, by least squares of
dV/dz - t: force matching, which needs no value of the density. Where the density is only estimated, a slope at a state
of the ensemble is an unbiased estimate of the marginal density's (Fisher's identity), and least squares average it.
Source: Li, Holbrook, Shahbaba and Baldi (2019), Computational Statistics 34, 281-299 (a network's slope in HMC with a
test on the true density); Poyiadjis, Doucet and Singh (2011), Biometrika 98, 65-80 (Fisher's identity).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import stats

from ensemble.adaptation.surrogates.lessons import chosen
from ensemble.protocol.statistics import Lessons
from ensemble.protocol.tuning import LevelTuning
from kernels.dynamics.network import Network, whitened_potential

HELD_OUT = 0.2
"""Share of the examples that training does not see, by which it stops."""

STEEP = 9.0
"""Squared slope, in units of its equilibrium mean p, beyond which an example counts for less: far out one slope would
weigh as much as all others."""

REACHED = 1e-4
"""Share of draws of a normal law that lie deeper than what counts as in reach, and"""

BEYOND = 2.0
"""multiple of that depth from which on an example is left out: a trajectory had left the posterior."""

RATE, DECAYED, BATCH, EPOCH, MOST_EPOCHS, PATIENCE = 3e-3, 0.01, 256, 100, 160, 24
"""Adam: its first learning rate and what is left of it at the end (a cosine between), examples a step, steps between
looks at the examples held out, how many of these at most, and without a better one before training stops."""


class Frame(NamedTuple):
    """Whitened coordinates z = L^-1 (x - c).

    center: c, [p].
    factor: L, [p, p].
    """

    center: np.ndarray
    factor: np.ndarray

    def whitened(self, lessons: Lessons) -> Lessons:
        """Places z, slopes of the log density there, and its heights as they are."""
        places = np.linalg.solve(self.factor, (np.asarray(lessons.places) - self.center).T).T
        return Lessons(places, np.asarray(lessons.slopes) @ self.factor, lessons.heights)


def frame_of(level: LevelTuning) -> Frame:
    """Of a level of one block with a dense or diagonal factor."""
    factor = level.factor
    assert isinstance(factor, np.ndarray)
    return Frame(level.mean[:, 0], factor[:, :, 0] if factor.ndim == 3 else np.diag(factor[:, 0]))


def within(lessons: Lessons, depths: float = 1.0) -> Lessons:
    """The examples in reach of the posterior: whose height is no more than so many depths below the median. All of a
    density that is only estimated."""
    width, heights = lessons.places.shape[1], np.asarray(lessons.heights)
    if np.isnan(heights).all():
        return lessons
    depth = 0.5 * (stats.chi2.isf(REACHED, width) - stats.chi2.median(width))
    return chosen(lessons, heights >= np.nanmedian(heights) - depths * depth)


class Trained(NamedTuple):
    """What training gives.

    network: trained.
    error: weighted squares of the errors of its slopes over those of the slopes, on the examples held out.
    held_out: these examples, whitened.
    """

    network: Network
    error: float
    held_out: Lessons


class Fitted(NamedTuple):
    """The weights and biases of a network."""

    weights: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]


def trained(blank: Network, frame: Frame, whitened: Lessons, seeds: tuple[int, ...]) -> Trained:
    """A network of the form of `blank`, trained on examples of the frame.

    seeds: of its first weights, of what is held out and of the batches.
    """
    rng, count = np.random.default_rng(seeds), len(whitened.heights)
    order, held = rng.permutation(count), max(1, int(HELD_OUT * count))
    batches = rng.integers(held, count, size=(MOST_EPOCHS, EPOCH, BATCH))
    mixed = chosen(whitened, order)
    known = jnp.asarray(mixed.places, jnp.float32), -jnp.asarray(mixed.slopes, jnp.float32)
    weights, biases, error = _descended(_first_weights(blank, rng), known, held, batches)
    network = Network(frame.center, np.linalg.inv(frame.factor), weights, biases, np.asarray(True))
    return Trained(network, error, chosen(mixed, np.arange(held)))


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
