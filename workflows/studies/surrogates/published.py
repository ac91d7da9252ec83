"""The latent Hamiltonian network as published, with monitored NUTS on it. Approximate: see `monitored`.

As in Dhulipala, Che and Shields (2023): 4 hidden layers of 100 sine units take (q, p) to d latents whose sum is H; the
loss is on (dq/dt, dp/dt) = (dH/dp, -dH/dq); Adam at 5e-4 with weight decay 1e-4 on batches of 1,000; step .025, unit
masses; 40 trajectories of length 100 to learn from, each from the end of the last. Not as there: 3,000 training steps
in place of 100,000, which on one core take a minute or two, and trees of depth 10 at most.
"""

from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import kernels  # noqa: F401  (turns 64-bit floats on)
from workflows.studies.surrogates.densities import Density
from workflows.studies.surrogates.monitored import Leaf, Monitored, Step

HIDDEN = (100, 100, 100, 100)
STEP, TRAJECTORIES, LENGTH = 0.025, 40, 100.0
RATE, DECAY, BATCH, TRAINING_STEPS = 5e-4, 1e-4, 1000, 3000
CHAINS, DRAWS, DISCARDED = 2, 1000, 100
"""Each chain begins where a trajectory of the training data ended, and discards so many of its draws."""
BOX = 2.0

Layers = list[tuple[jax.Array, jax.Array]]
"""Weights [inputs, outputs] and biases of each layer."""


class Examples(NamedTuple):
    """q, p, and their derivatives by time: [N, d] each."""

    q: jax.Array
    p: jax.Array
    dq: jax.Array
    dp: jax.Array


def first_layers(dimension: int, rng: np.random.Generator) -> Layers:
    """Random weights for 2 d inputs and d latents."""
    sizes = (2 * dimension, *HIDDEN, dimension)
    return [
        (jnp.asarray(rng.normal(size=s) / np.sqrt(s[0]), jnp.float32), jnp.zeros(s[1], jnp.float32))
        for s in pairwise(sizes)
    ]


def hamiltonian(layers: Layers, q: jax.Array, p: jax.Array) -> jax.Array:
    """H, the sum of the latents."""
    units = jnp.concatenate([q, p])
    for weights, biases in layers[:-1]:
        units = jnp.sin(units @ weights + biases)
    weights, biases = layers[-1]
    return jnp.sum(units @ weights + biases)


def pilot(entry: Density, rng: np.random.Generator) -> tuple[Examples, np.ndarray]:
    """Examples along true trajectories, one after another, and where the last ones ended: [CHAINS, d]."""
    slope, steps = jax.grad(lambda q: -entry.log_density(q)), round(LENGTH / STEP)

    def step(carry: Any, _: None) -> Any:
        q, p, force = carry
        p = p - 0.5 * STEP * force
        q = q + STEP * p
        force = slope(q)
        p = p - 0.5 * STEP * force
        return (q, p, force), (q, p, force)

    @jax.jit
    def trajectory(q: jax.Array, p: jax.Array) -> Any:
        return jax.lax.scan(step, (q, p, slope(q)), None, length=steps)

    q, found, ends = jnp.asarray(rng.uniform(-BOX, BOX, entry.dimension)), [], []
    for _ in range(TRAJECTORIES):
        (q, _, _), seen = trajectory(q, jnp.asarray(rng.normal(size=entry.dimension)))
        found.append(seen)
        ends.append(np.asarray(q))
    qs, ps, forces = (jnp.concatenate(parts).astype(jnp.float32) for parts in zip(*found, strict=True))
    return Examples(qs, ps, ps, -forces), np.stack(ends[-CHAINS:])


def trained(examples: Examples, rng: np.random.Generator) -> tuple[Layers, float]:
    """Layers fitted to the examples, and the error of dp/dt on the last batch over its variance."""
    layers = first_layers(examples.q.shape[1], rng)
    optimiser = optax.adamw(RATE, weight_decay=DECAY)
    slopes = jax.vmap(jax.grad(hamiltonian, argnums=(1, 2)), in_axes=(None, 0, 0))

    def wrong(layers: Layers, batch: Examples) -> tuple[jax.Array, jax.Array]:
        by_q, by_p = slopes(layers, batch.q, batch.p)
        return by_p - batch.dq, by_q + batch.dp

    @jax.jit
    def advance(layers: Layers, state: Any, batch: Examples) -> Any:
        gradient = jax.grad(lambda now: sum(jnp.mean(part**2) for part in wrong(now, batch)))(layers)
        updates, state = optimiser.update(gradient, state, layers)
        return optax.apply_updates(layers, updates), state

    state, count = optimiser.init(layers), len(examples.q)  # type: ignore[arg-type]
    for _ in range(TRAINING_STEPS):
        rows = jnp.asarray(rng.integers(count, size=BATCH))
        batch = Examples(*(part[rows] for part in examples))
        layers, state = advance(layers, state, batch)
    error = jnp.sum(wrong(layers, batch)[1] ** 2) / jnp.sum((batch.dp - batch.dp.mean(axis=0)) ** 2)
    return layers, float(error)


def steps(entry: Density, layers: Layers) -> tuple[Step, Step]:
    """A leapfrog step by the network, whose slope by q is taken at the old p, and one by the gradient."""

    def leapfrog(force: Any, q: jax.Array, p: jax.Array, h: jax.Array) -> jax.Array:
        half = p - 0.5 * h * force(q, p)
        q = q + h * half
        p = half - 0.5 * h * force(q, p)
        return jnp.concatenate([q, p, (0.5 * jnp.sum(p**2) - entry.log_density(q))[None]])

    def learned(q: jax.Array, p: jax.Array) -> jax.Array:
        found: jax.Array = jax.grad(hamiltonian, argnums=1)(layers, q.astype(jnp.float32), p.astype(jnp.float32))
        return found

    def true(q: jax.Array, p: jax.Array) -> jax.Array:
        return -jax.grad(entry.log_density)(q)

    return tuple(partial(_leaf, jax.jit(partial(leapfrog, force)), entry.dimension) for force in (learned, true))  # type: ignore[return-value]


def _leaf(leapfrog: Any, d: int, q: np.ndarray, p: np.ndarray, direction: int) -> Leaf:
    found = np.asarray(leapfrog(q, p, direction * STEP))
    return found[:d], found[d:-1], float(found[-1])


def sampled(entry: Density, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Draws [chains, draws, d], and facts of the run."""
    rng = np.random.default_rng((seed, 1505))
    examples, ends = pilot(entry, rng)
    layers, error = trained(examples, rng)
    potential = jax.jit(lambda q: -entry.log_density(q))
    runs, draws = [Monitored(*steps(entry, layers)) for _ in range(CHAINS)], []
    for run, q in zip(runs, ends, strict=True):
        chain = []
        for _ in range(DRAWS):
            q = run.draw(rng, q, lambda x: float(potential(x)))
            chain.append(q)
        draws.append(np.stack(chain[DISCARDED:]))
    used = sum(run.gradients for run in runs)
    facts = {
        "gradients": len(examples.q) + used,
        "gradients_by_stage": {"training": len(examples.q), "sample": used},
        "densities": sum(run.leaves for run in runs),
        "switches": sum(run.switches for run in runs),
        "network_error": error,
    }
    return np.stack(draws), facts
