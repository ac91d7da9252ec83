"""Subtrees of NUTS trajectories: many chains grow theirs leaf by leaf in lock-step, without recursion.

A chain ends as soon as a subtree of it turns or diverges, so all chains that still grow are at the same doubling and at
the same leaf of it. Loop counters, places of checkpoints and predicates are therefore shared scalars, and what a chain
computes after its end is never read: only the few things that outlive its end are selected by chain.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.dynamics.integrators import Phase, Stepper
from kernels.state import DIVERGENCE
from kernels.transitions.nuts.turning import Checkpoints, Turning, inner, no_checkpoints, remember, subtree_turns

NOISE = 32
"""Leaves whose Gumbel noise is drawn together: leaf by leaf it would cost more than the gradient of a small model."""


class TrajectoryRandomness(NamedTuple):
    """Every random draw of a trajectory.

    momentum: N(0, I), [R, d].
    directions: -1 or 1 for each doubling, [R, max_depth].
    gumbel: n -> standard Gumbel noise of the leaves number NOISE n .. NOISE (n + 1) - 1, [NOISE, R]; the leaves of
        doubling j, in order of growth, are numbers 2^j .. 2^(j+1) - 1.
    uniform: on [0, 1), for the choice between the old trajectory and each doubling's new one, [R, max_depth].
    """

    momentum: jax.Array
    directions: jax.Array
    gumbel: Callable[[jax.Array], jax.Array]
    uniform: jax.Array


class LeafTally(NamedTuple):
    """What is counted while chains grow, [R] each.

    active: which still grow.
    acceptance: sum over the new leaves of min(1, exp(H0 - H)).
    n_steps: leaves so far.
    diverging: whether one of them had H - H0 > DIVERGENCE or not finite.
    nonfinite: leaves where H was not finite.
    infinite: those of them where the log density was +inf.
    """

    active: jax.Array
    acceptance: jax.Array
    n_steps: jax.Array
    diverging: jax.Array
    nonfinite: jax.Array
    infinite: jax.Array


class Subtree(NamedTuple):
    """A doubling that grows.

    leaf: number of the next leaf in it.
    phase: the last leaf.
    total: sum of the watched momenta.
    offset: of the leaf with the largest Gumbel noise - H.
    score: that leaf's Gumbel noise + H0 - H.
    fall: that leaf's H0 - H.
    log_weight: log of the sum of exp(H0 - H).
    noise: the Gumbel noise of this leaf and its neighbours.
    checkpoints: the momenta by which subtrees are seen to turn.
    tally: what was counted, in all doublings.
    """

    leaf: jax.Array
    phase: Phase
    total: jax.Array
    offset: jax.Array
    score: jax.Array
    fall: jax.Array
    log_weight: jax.Array
    noise: jax.Array
    checkpoints: Checkpoints
    tally: LeafTally


class TrajectoryMethod(NamedTuple):
    """What a trajectory is made with.

    advance: one integrator step.
    step_size: of each chain, [R, 1].
    turning: when it ends.
    randomness: all random draws.
    start: H at the start, [R].
    """

    advance: Stepper
    step_size: jax.Array
    turning: Turning
    randomness: TrajectoryRandomness
    start: jax.Array

    def watch(self, phase: Phase) -> jax.Array:
        """The momenta that the rule sees, [R, watched]: what is kept of all others is a phase at either end."""
        return phase.momentum[:, : self.turning.watched]


def energy(phase: Phase) -> jax.Array:
    """H = U + |p|^2 / 2, [R]."""
    return phase.potential + 0.5 * inner(phase.momentum, phase.momentum)


def no_leaves(phase: Phase, max_depth: int, watched: jax.Array) -> Subtree:
    """A subtree that has yet to grow, with nothing counted; watched: momenta of the shape that the rule sees."""
    chains = phase.potential.shape[0]
    counts, none = jnp.zeros(chains, jnp.int32), jnp.zeros(chains, bool)
    return Subtree(
        leaf=jnp.zeros((), jnp.int32),
        phase=phase,
        total=jnp.zeros_like(watched),
        offset=phase.offset,
        score=jnp.zeros(chains),
        fall=jnp.zeros(chains),
        log_weight=jnp.zeros(chains),
        noise=jnp.zeros((NOISE, chains)),
        checkpoints=no_checkpoints(max(max_depth - 1, 1), watched),
        tally=LeafTally(~none, jnp.zeros(chains), counts, none, counts, counts),
    )


def grow(method: TrajectoryMethod, old: Subtree, near: Phase, doubling: jax.Array, direction: jax.Array) -> Subtree:
    """The 2^doubling leaves that follow `near` in each chain's direction, [R]; fewer if every chain ends before.

    old: the subtree before, whose tally goes on and whose memory is used again.
    """
    leaves = jnp.left_shift(1, doubling)
    signed = method.step_size * direction[:, None]
    nothing = jnp.full_like(near.potential, -jnp.inf)
    return jax.lax.while_loop(
        lambda now: (now.leaf < leaves) & jnp.any(now.tally.active),
        lambda now: _add_leaf(method, signed, leaves, now),
        old._replace(
            leaf=jnp.zeros_like(leaves),
            phase=near,
            total=jnp.zeros_like(old.total),
            offset=near.offset,
            score=nothing,
            fall=nothing,
            log_weight=nothing,
        ),
    )


def _add_leaf(method: TrajectoryMethod, signed: jax.Array, leaves: jax.Array, now: Subtree) -> Subtree:
    """One more leaf of every chain; `leaves`, the size of the subtree, is the number of its first leaf."""
    before = method.watch(now.phase)
    phase = method.advance(signed, now.phase)
    log_weight, momentum = method.start - energy(phase), method.watch(phase)
    total = now.total + momentum
    checkpoints = remember(now.checkpoints, now.leaf, momentum, before, now.total)
    turned = subtree_turns(method.turning.rule, checkpoints, now.leaf, momentum, before, total)
    number = leaves + now.leaf
    due = (number == 1) | (number % NOISE == 0)
    noise = jax.lax.cond(due, lambda: method.randomness.gumbel(number // NOISE), lambda: now.noise)
    score = log_weight + noise[number % NOISE]
    best = score > now.score
    return Subtree(
        leaf=now.leaf + 1,
        phase=phase,
        total=total,
        offset=jnp.where(best[:, None], phase.offset, now.offset),
        score=jnp.where(best, score, now.score),
        fall=jnp.where(best, log_weight, now.fall),
        log_weight=jnp.logaddexp(now.log_weight, log_weight),
        noise=noise,
        checkpoints=checkpoints,
        tally=_count(now.tally, log_weight, turned),
    )


def _count(tally: LeafTally, log_weight: jax.Array, turned: jax.Array) -> LeafTally:
    """The tally after one more leaf; only chains that were active count it."""
    finite = jnp.isfinite(log_weight)
    diverging = tally.active & ~(finite & (log_weight >= -DIVERGENCE))
    probability = jnp.where(finite, jnp.exp(jnp.minimum(log_weight, 0.0)), 0.0)
    return LeafTally(
        active=tally.active & ~diverging & ~turned,
        acceptance=tally.acceptance + jnp.where(tally.active, probability, 0.0),
        n_steps=tally.n_steps + tally.active,
        diverging=tally.diverging | diverging,
        nonfinite=tally.nonfinite + (tally.active & ~finite),
        infinite=tally.infinite + (tally.active & (log_weight == jnp.inf)),
    )
