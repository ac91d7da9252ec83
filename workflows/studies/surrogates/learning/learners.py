"""Five formulations of what a network learns, each with its loss and the force that it gives.

All work in whitened coordinates, and all but the latent form have the parabola of the metric given, so that the network
is what is added to it. Only a force that depends on positions alone, at fixed u or at the u that the step has, makes
steps that are undone by turning the momenta round and that keep volume: those are exact once the true H accepts.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from workflows.studies.surrogates.learning.pilot import Examples, Phase

Layers = list[tuple[jax.Array, jax.Array]]
"""Weights [inputs, outputs] and biases of each layer."""
WIDE, DEEP = (64, 64), (100, 100, 100, 100)
"""Hidden layers: of all but the latent form, and of that."""
RATE, BATCH, STEPS, HELD_OUT = 2e-3, 256, 4000, 0.2
"""Adam with a cosine down to a hundredth, the same for all."""
SHOTS = 5
"""Leapfrog steps of the trajectories that formulation 5 is trained through."""


class Formulation(Protocol):
    """What a network learns.

    exact: whether a trajectory by its force, accepted on the true H, leaves the law as it is. moves_u: whether it has a
    force on the auxiliary variables; they are held else. steps: examples after one another that its loss looks at.
    """

    exact: bool
    moves_u: bool
    steps: int

    def first(self, width: int, auxiliary: int, rng: np.random.Generator) -> Layers:
        """Random layers."""

    def wrong(self, layers: Layers, example: Examples, h: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Squared error on one example, and the size of what it is an error of. h: the step of the examples."""

    def kick(self, layers: Layers, at: Phase) -> tuple[jax.Array, jax.Array]:
        """Forces on z and u, without that of the normal law of u."""


def layers_of(sizes: tuple[int, ...], rng: np.random.Generator, last: float) -> Layers:
    """Random weights that keep units of order 1, those of the last layer by a factor smaller."""
    scales = [1.0 / np.sqrt(size) for size in sizes[:-2]] + [last / np.sqrt(sizes[-2])]
    weights = [scale * rng.normal(size=size) for scale, size in zip(scales, pairwise(sizes), strict=True)]
    return [(jnp.asarray(w, jnp.float32), jnp.zeros(w.shape[1], jnp.float32)) for w in weights]


def perceptron(layers: Layers, x: jax.Array, unit: Callable[[jax.Array], jax.Array] = jnp.tanh) -> jax.Array:
    """The outputs."""
    for weights, biases in layers[:-1]:
        x = unit(x @ weights + biases)
    weights, biases = layers[-1]
    return x @ weights + biases


def _narrow(at: Phase) -> Phase:
    return Phase(*(part.astype(jnp.float32) for part in at))


def _squares(*pairs: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Of the errors of guesses of values, and of the values."""
    wrong = sum((jnp.sum((guess - value) ** 2) for guess, value in pairs), start=jnp.zeros(()))
    return wrong, sum((jnp.sum(value**2) for _, value in pairs), start=jnp.zeros(()))


class Joint:
    """(1) H over all of (theta, rho, u, p): loss on the derivatives of all by time."""

    exact, moves_u, steps = False, True, 1

    def first(self, width: int, auxiliary: int, rng: np.random.Generator) -> Layers:
        return layers_of((2 * (width + auxiliary), *WIDE, 1), rng, 0.1)

    def energy(self, layers: Layers, at: Phase) -> jax.Array:
        """H."""
        inputs = jnp.concatenate(at)
        return 0.5 * jnp.sum(inputs**2) + perceptron(layers, inputs)[0]

    def wrong(self, layers: Layers, example: Examples, h: jax.Array) -> tuple[jax.Array, jax.Array]:
        at = jax.tree.map(lambda x: x[0], example.phases)
        slope = jax.grad(self.energy, argnums=1)(layers, at)
        by_z, by_u = example.by_z[0], example.by_u[0] - at.u
        return _squares((slope.rho, at.rho), (-slope.z, by_z), (slope.p, at.p), (-slope.u, by_u))

    def kick(self, layers: Layers, at: Phase) -> tuple[jax.Array, jax.Array]:
        slope = jax.grad(self.energy, argnums=1)(layers, _narrow(at))
        return -slope.z, at.u - slope.u


class Slopes:
    """(2) The gradients of log p(theta) + log phat over (theta, u), as outputs of the network."""

    exact, moves_u, steps = True, True, 1

    def first(self, width: int, auxiliary: int, rng: np.random.Generator) -> Layers:
        return layers_of((width + auxiliary, *WIDE, width + auxiliary), rng, 0.1)

    def kick(self, layers: Layers, at: Phase) -> tuple[jax.Array, jax.Array]:
        at = _narrow(at)
        found = perceptron(layers, jnp.concatenate([at.z, at.u]))
        return found[: len(at.z)] - at.z, found[len(at.z) :]

    def wrong(self, layers: Layers, example: Examples, h: jax.Array) -> tuple[jax.Array, jax.Array]:
        by_z, by_u = self.kick(layers, jax.tree.map(lambda x: x[0], example.phases))
        return _squares((by_z, example.by_z[0]), (by_u, example.by_u[0]))


class Potential:
    """(3) U(theta) alone, on the gradients by theta, which the estimate makes noisy: the network averages them."""

    exact, moves_u, steps = True, False, 1

    def first(self, width: int, auxiliary: int, rng: np.random.Generator) -> Layers:
        return layers_of((width, *WIDE, 1), rng, 0.1)

    def potential(self, layers: Layers, z: jax.Array) -> jax.Array:
        """U."""
        return 0.5 * jnp.sum(z**2) + perceptron(layers, z)[0]

    def kick(self, layers: Layers, at: Phase) -> tuple[jax.Array, jax.Array]:
        return -jax.grad(self.potential, argnums=1)(layers, _narrow(at).z), jnp.zeros_like(at.u)

    def wrong(self, layers: Layers, example: Examples, h: jax.Array) -> tuple[jax.Array, jax.Array]:
        by_z, _ = self.kick(layers, jax.tree.map(lambda x: x[0], example.phases))
        return _squares((by_z, example.by_z[0]))


class Hamiltonian:
    """(4) H(theta, rho), not separated: loss on both derivatives by time. Its force depends on the momentum."""

    exact, moves_u, steps = False, False, 1

    def first(self, width: int, auxiliary: int, rng: np.random.Generator) -> Layers:
        return layers_of((2 * width, *WIDE, 1), rng, 0.1)

    def energy(self, layers: Layers, z: jax.Array, rho: jax.Array) -> jax.Array:
        """H."""
        inputs = jnp.concatenate([z, rho])
        return 0.5 * jnp.sum(inputs**2) + perceptron(layers, inputs)[0]

    def wrong(self, layers: Layers, example: Examples, h: jax.Array) -> tuple[jax.Array, jax.Array]:
        at = jax.tree.map(lambda x: x[0], example.phases)
        by_z, by_rho = jax.grad(self.energy, argnums=(1, 2))(layers, at.z, at.rho)
        return _squares((by_rho, at.rho), (-by_z, example.by_z[0]))

    def kick(self, layers: Layers, at: Phase) -> tuple[jax.Array, jax.Array]:
        narrow = _narrow(at)
        return -jax.grad(self.energy, argnums=1)(layers, narrow.z, narrow.rho), jnp.zeros_like(at.u)


class Latent(Hamiltonian):
    """(4) in the latent form: H the sum of d latents, sine units, no parabola."""

    def first(self, width: int, auxiliary: int, rng: np.random.Generator) -> Layers:
        return layers_of((2 * width, *DEEP, width), rng, 1.0)

    def energy(self, layers: Layers, z: jax.Array, rho: jax.Array) -> jax.Array:
        return jnp.sum(perceptron(layers, jnp.concatenate([z, rho]), jnp.sin))


class Shooting(Potential):
    """(5) U(theta), by where leapfrog trajectories of its force end: it is shown no gradient, though they took some."""

    steps = SHOTS + 1

    def wrong(self, layers: Layers, example: Examples, h: jax.Array) -> tuple[jax.Array, jax.Array]:
        start, end = (jax.tree.map(lambda x, i=i: x[i], example.phases) for i in (0, SHOTS))
        z, rho = start.z, start.rho
        for _ in range(SHOTS):
            z = z + 0.5 * h * rho
            rho = rho - h * jax.grad(self.potential, argnums=1)(layers, z)
            z = z + 0.5 * h * rho
        # As errors of the mean force, so that the losses of all formulations are alike.
        free = start.z + SHOTS * h * start.rho
        return _squares(
            ((z - free) / h, (end.z - free) / h),
            ((rho - start.rho) / h, (end.rho - start.rho) / h),
        )


FORMULATIONS: Mapping[str, Formulation] = {
    "1 H(theta, rho, u, p)": Joint(),
    "2 slopes over (theta, u)": Slopes(),
    "3 U(theta)": Potential(),
    "4 H(theta, rho)": Hamiltonian(),
    "4 latent": Latent(),
    "5 through the integrator": Shooting(),
}


class Trained(NamedTuple):
    """Layers with the least error on examples held out, that error over the size of what was learned, and the steps
    that training took to them."""

    layers: Layers
    error: float
    steps: int


def cut(examples: Examples, steps: int) -> Examples:
    """Pieces of trajectories: [N, steps, ...]."""
    length = examples.by_z.shape[1] // steps * steps

    def pieces(x: jax.Array) -> jax.Array:
        return x[:, :length].reshape(x.shape[0] * length // steps, steps, *x.shape[2:])

    return jax.tree.map(pieces, examples)  # type: ignore[no-any-return]


def train(of: Formulation, examples: Examples, h: jax.Array, seed: int) -> Trained:
    """The same number of the same steps for every formulation. examples: whole trajectories; the last are held out."""
    rng, h = np.random.default_rng(seed), jnp.asarray(h, jnp.float32)
    count = examples.by_z.shape[0]
    known, held = (
        cut(jax.tree.map(part, examples), of.steps)
        for part in (lambda x: x[: int((1 - HELD_OUT) * count)], lambda x: x[int((1 - HELD_OUT) * count) :])
    )
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, STEPS, 0.01))

    def loss(layers: Layers, batch: Examples) -> jax.Array:
        wrong, size = jax.vmap(of.wrong, in_axes=(None, 0, None))(layers, batch, h)
        return jnp.sum(wrong) / jnp.sum(size)

    @jax.jit
    def epoch(layers: Layers, state: Any, batches: jax.Array) -> Any:
        def step(carry: Any, rows: jax.Array) -> Any:
            layers, state = carry
            gradient = jax.grad(loss)(layers, jax.tree.map(lambda x: x[rows], known))
            updates, state = optimiser.update(gradient, state, layers)
            return (optax.apply_updates(layers, updates), state), None

        return jax.lax.scan(step, (layers, state), batches)[0]

    layers = of.first(examples.phases.z.shape[-1], examples.phases.u.shape[-1], rng)
    state, error_of = optimiser.init(layers), jax.jit(partial(loss, batch=held))  # type: ignore[arg-type]
    best = Trained(layers, float(error_of(layers)), 0)
    for done in range(STEPS // 100):
        rows = rng.integers(known.by_z.shape[0], size=(100, BATCH))
        layers, state = epoch(layers, state, jnp.asarray(rows))
        if (error := float(error_of(layers))) < best.error:
            best = Trained(layers, error, 100 * (done + 1))
    return best
