"""An ensemble in equilibrium, its metric, and examples along true trajectories from it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from workflows.studies.surrogates.learning.problems import Problem

CHAINS = 64
ROUNDS, LENGTH = 7, 10
"""Of the pilot: after each round of trajectories, LENGTH steps each, the metric and the step are learned anew."""
LESSONS = 8
"""Trajectories of every chain that examples are taken from."""
FAR = 1e4
"""Mean square of z and of the force, beyond which a trajectory has run away and teaches nothing."""
ACCEPT = 0.85
"""Aimed at by the step, with the gradient of the estimate as force."""


class Phase(NamedTuple):
    """z: whitened theta [d], rho: its momentum; u: auxiliary [m], p: its momentum."""

    z: jax.Array
    rho: jax.Array
    u: jax.Array
    p: jax.Array


States = tuple[jax.Array, jax.Array]
"""z and u of all chains."""
Kick = Callable[[Phase], tuple[jax.Array, jax.Array]]
"""Forces on z and u, without that of the normal law of u."""


class Whitened(NamedTuple):
    """theta = mean + root z; step: h."""

    problem: Problem
    mean: jax.Array
    root: jax.Array
    step: jax.Array

    def log_density(self, z: jax.Array, u: jax.Array) -> jax.Array:
        """Of the estimate, without the normal law of u."""
        return self.problem.log_density(self.mean + self.root @ z, u)

    def marginal(self, z: jax.Array) -> jax.Array:
        """The exact one."""
        return self.problem.marginal(self.mean + self.root @ z)

    def energy(self, at: Phase) -> jax.Array:
        """H, all of it."""
        return -self.log_density(at.z, at.u) + 0.5 * sum(jnp.sum(part**2) for part in (at.rho, at.u, at.p))

    def kick(self, at: Phase) -> tuple[jax.Array, jax.Array]:
        """The true forces."""
        by_z, by_u = jax.grad(self.log_density, argnums=(0, 1))(at.z, at.u)
        return by_z, by_u


class Examples(NamedTuple):
    """Along trajectories, [N, L + 1, ...]: phases, and the true forces there."""

    phases: Phase
    by_z: jax.Array
    by_u: jax.Array


class Equilibrium(NamedTuple):
    """The metric, states z [C, d] and u [C, m], and examples."""

    known: Whitened
    z: jax.Array
    u: jax.Array
    examples: Examples


def strang(kick: Kick, h: jax.Array, at: Phase, *, held: bool) -> Phase:
    """A(h/2) B(h) A(h/2): theta drifts while (u, p) rotates, kicks between. held: u stays where it is."""

    def glide(at: Phase) -> Phase:
        cosine, sine = jnp.cos(0.5 * h), jnp.sin(0.5 * h)
        turned = (at.u, at.p) if held else (cosine * at.u + sine * at.p, cosine * at.p - sine * at.u)
        return Phase(at.z + 0.5 * h * at.rho, at.rho, *turned)

    at = glide(at)
    by_z, by_u = kick(at)
    return glide(at._replace(rho=at.rho + h * by_z, p=at.p if held else at.p + h * by_u))


def refreshed(key: jax.Array, z: jax.Array, u: jax.Array) -> Phase:
    """With new momenta."""
    one, two = jax.random.split(key)
    return Phase(z, jax.random.normal(one, z.shape), u, jax.random.normal(two, u.shape))


def moved(
    known: Whitened, kick: Kick, key: jax.Array, z: jax.Array, u: jax.Array, *, held: bool, length: int = LENGTH
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """z and u after one trajectory of one chain accepted on the true H, and with what probability it was."""
    momentum_key, length_key, accept_key = jax.random.split(key, 3)
    start = refreshed(momentum_key, z, u)
    h = known.step * jax.random.uniform(length_key, (), jnp.float64, 0.7, 1.3)
    end = jax.lax.fori_loop(0, length, lambda _, at: strang(kick, h, at, held=held), start)
    fall = known.energy(start) - known.energy(end)
    probability = jnp.where(jnp.isfinite(fall), jnp.exp(jnp.minimum(fall, 0.0)), 0.0)
    accepted = jax.random.uniform(accept_key) < probability
    return jnp.where(accepted, end.z, z), jnp.where(accepted, end.u, u), probability


def settled(problem: Problem, seed: int) -> Equilibrium:
    """Chains after the pilot, with examples from where they are."""
    keys = jax.random.split(jax.random.key(seed), ROUNDS + 3)
    d = problem.width
    known = Whitened(problem, jnp.asarray(problem.start), problem.scale * jnp.eye(d), jnp.asarray(0.1))
    z = jax.random.normal(keys[-1], (CHAINS, d))
    u = jax.random.normal(keys[-2], (CHAINS, problem.auxiliary))
    for key in keys[:ROUNDS]:
        z, u, accepted, seen = _round(known, key, z, u)
        theta, places = known.mean + z @ known.root.T, known.mean + seen.reshape(-1, d) @ known.root.T
        step = known.step * jnp.exp(jnp.clip(2.0 * (jnp.mean(accepted) - ACCEPT), -0.7, 0.3))
        root = jnp.linalg.cholesky(jnp.cov(places.T) + 1e-9 * jnp.eye(d))
        rescaled = jnp.linalg.norm(root) / jnp.linalg.norm(known.root)
        known = Whitened(problem, jnp.mean(places, axis=0), root, jnp.minimum(step / jnp.minimum(rescaled, 1.0), 0.6))
        z = jnp.linalg.solve(root, (theta - known.mean).T).T
    return Equilibrium(known, *_lessons(known, keys[-3], z, u))


def _round(known: Whitened, key: jax.Array, z: jax.Array, u: jax.Array) -> tuple[jax.Array, ...]:
    """States, acceptance, and all z of the later half, by the true forces."""
    one, count = jax.vmap(partial(moved, known, known.kick, held=False)), known.problem.trajectories

    def advance(state: States, key: jax.Array) -> tuple[States, tuple[jax.Array, jax.Array]]:
        z, u, accepted = one(jax.random.split(key, CHAINS), *state)
        return (z, u), (accepted, z)

    (z, u), (accepted, seen) = jax.jit(partial(jax.lax.scan, advance))((z, u), jax.random.split(key, count))
    return z, u, accepted, seen[count // 2 :]


def _lessons(known: Whitened, key: jax.Array, z: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array, Examples]:
    """The chains a few trajectories on, and examples along these, of the step h itself."""

    def along(key: jax.Array, z: jax.Array, u: jax.Array) -> Examples:
        def step(at: Phase, _: None) -> tuple[Phase, Phase]:
            new = strang(known.kick, known.step, at, held=False)
            return new, new

        start = refreshed(key, z, u)
        rest = jax.lax.scan(step, start, None, length=LENGTH)[1]
        phases = jax.tree.map(lambda first, later: jnp.concatenate([first[None], later]), start, rest)
        by_z, by_u = jax.vmap(known.kick)(phases)
        return Examples(*jax.tree.map(lambda x: x.astype(jnp.float32), (phases, by_z, by_u)))

    @jax.jit
    def lesson(key: jax.Array, z: jax.Array, u: jax.Array) -> tuple[jax.Array, jax.Array, Examples]:
        keys = jax.random.split(key, (2, CHAINS))
        found = jax.vmap(along)(keys[0], z, u)
        z, u, _ = jax.vmap(partial(moved, known, known.kick, held=False))(keys[1], z, u)
        return z, u, found

    parts = []
    for one in jax.random.split(key, LESSONS):
        z, u, found = lesson(one, z, u)
        parts.append(found)
    found = jax.tree.map(lambda *rest: jnp.concatenate(rest), *parts)
    size = jnp.mean(found.phases.z**2, axis=2) + jnp.mean(found.by_z**2, axis=2)
    kept = jnp.flatnonzero(jnp.all(size < FAR, axis=1))
    return z, u, jax.tree.map(lambda values: values[kept], found)
