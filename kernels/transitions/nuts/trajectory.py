"""One multinomial NUTS trajectory of many chains at once, free of any model: doublings until it turns."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

from kernels.dynamics.integrators import Flow, Phase, Scheme, ValueAndGradient, hamiltonian_flows, phase_at, stepper
from kernels.transitions.nuts.tree import Subtree, TrajectoryMethod, TrajectoryRandomness, energy, grow, no_leaves
from kernels.transitions.nuts.turning import PUBLISHED, Turning, merge_turns


class NutsInfo(NamedTuple):
    """What a trajectory reports, [R] each.

    acceptance_probability: mean of min(1, exp(H0 - H)) over the new leaves, to adapt the step size by.
    nonfinite: leaves where H was not finite, a count.
    infinite: those of them where the log density was +inf, a count.
    n_steps: integrator steps of the chain's own.
    n_steps_lockstep: steps done in lock-step, the largest of these in its group.
    tree_depth: doublings that joined the trajectory.
    diverging: whether it ended by a leaf with H - H0 > DIVERGENCE or not finite.
    step_size: h.
    energy: H of the chosen point, with the terms of the level alone in U.
    """

    acceptance_probability: jax.Array
    nonfinite: jax.Array
    infinite: jax.Array
    n_steps: jax.Array
    n_steps_lockstep: jax.Array
    tree_depth: jax.Array
    diverging: jax.Array
    step_size: jax.Array
    energy: jax.Array


class NutsTrajectory(NamedTuple):
    """The doublings so far.

    doubling: how many.
    head: the end that grew last.
    tail: the other.
    direction: of the last growth, [R].
    total: sum of the watched momenta.
    offset: the chosen point.
    fall: H0 - H of the chosen point.
    log_weight: log of the sum of exp(H0 - H).
    tree_depth: doublings that joined.
    newest: the last subtree, with the tally of all.
    """

    doubling: jax.Array
    head: Phase
    tail: Phase
    direction: jax.Array
    total: jax.Array
    offset: jax.Array
    fall: jax.Array
    log_weight: jax.Array
    tree_depth: jax.Array
    newest: Subtree


def trajectory(
    value_and_gradient: ValueAndGradient,
    scheme: Scheme,
    offset: jax.Array,
    randomness: TrajectoryRandomness,
    step_size: jax.Array,
    depth_limit: jax.Array | int,
    flows: Mapping[str, Flow] | None = None,
    turning: Turning = PUBLISHED,
) -> tuple[jax.Array, NutsInfo]:
    """One draw for each of R chains from offset [R, d]: the chosen offsets [R, d], and the info.

    value_and_gradient: [R, d] -> (U [R], dU [R, d]), unit mass. step_size: a scalar or [R]. depth_limit: largest number
    of doublings, at most as many as there are random directions, max_depth, which sets the shape of the memory.
    flows: those of the scheme, in place of kick and drift. turning: another rule than the published one.

    Multinomial choice within a subtree by the largest Gumbel noise - H, which does not depend on the order of growth;
    between old and new with probability min(1, w_new / w_old).
    Source: Betancourt (2017), arXiv 1701.02434, appendix A.3; Hoffman and Gelman (2014), JMLR 15, 1593-1623.
    """
    max_depth = randomness.directions.shape[1]
    evaluate = row_major(value_and_gradient)
    phase = phase_at(evaluate, offset, randomness.momentum)
    advance = stepper(scheme, hamiltonian_flows(evaluate) if flows is None else flows)
    size = jnp.broadcast_to(step_size, offset.shape[:1])[:, None]
    method = TrajectoryMethod(advance, size, turning, randomness, energy(phase))
    limit = jnp.minimum(depth_limit, max_depth)
    grown = jax.lax.while_loop(
        lambda now: (now.doubling < limit) & jnp.any(now.newest.tally.active),
        lambda now: double(method, now),
        _start(phase, randomness, max_depth, method.watch(phase)),
    )
    return grown.offset, _report(grown, method)


def row_major(value_and_gradient: ValueAndGradient) -> ValueAndGradient:
    """The same function with a gradient that lies in memory chain by chain.

    The gradient of a vmapped model often comes coordinate by coordinate, and XLA would read it so at every use, in
    strides: with a matrix of 100 x 100 for a model and 256 chains one copy took 150 of 560 us off a leaf.
    """

    def evaluate(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        potential, gradient = value_and_gradient(offset)
        return potential, with_layout_constraint(gradient, Layout(major_to_minor=(0, 1)))

    return evaluate


def double(method: TrajectoryMethod, old: NutsTrajectory) -> NutsTrajectory:
    """Grow a subtree as long as the trajectory from one of its ends, choose between the two, and see if they turn."""
    direction = method.randomness.directions[:, old.doubling]
    near, far = _swap(direction != old.direction, old.head, old.tail)
    new = grow(method, old.newest, near, old.doubling, direction)
    joins = new.tally.active
    taken = joins & (method.randomness.uniform[:, old.doubling] < jnp.exp(new.log_weight - old.log_weight))
    middle, ends = (method.watch(near), new.checkpoints.momentum[0]), (method.watch(far), method.watch(new.phase))
    turned = merge_turns(method.turning.rule, ends, middle, (old.total, new.total))
    return NutsTrajectory(
        doubling=old.doubling + 1,
        head=new.phase,
        tail=far,
        direction=direction,
        total=old.total + new.total,
        offset=jnp.where(taken[:, None], new.offset, old.offset),
        fall=jnp.where(taken, new.fall, old.fall),
        log_weight=jnp.logaddexp(old.log_weight, new.log_weight),
        tree_depth=old.tree_depth + joins,
        newest=new._replace(tally=new.tally._replace(active=joins & ~turned)),
    )


def _start(phase: Phase, randomness: TrajectoryRandomness, max_depth: int, watched: jax.Array) -> NutsTrajectory:
    """The trajectory of one point: both ends at once."""
    chains = phase.potential.shape[0]
    return NutsTrajectory(
        doubling=jnp.zeros((), jnp.int32),
        head=phase,
        tail=phase,
        direction=randomness.directions[:, 0],
        total=watched,
        offset=phase.offset,
        fall=jnp.zeros(chains),
        log_weight=jnp.zeros(chains),
        tree_depth=jnp.zeros(chains, jnp.int32),
        newest=no_leaves(phase, max_depth, watched),
    )


def _swap(flip: jax.Array, head: Phase, tail: Phase) -> tuple[Phase, Phase]:
    """(tail, head) where the direction changes, else (head, tail)."""

    def chosen(one: Phase, other: Phase) -> Phase:
        return Phase(
            *(jnp.where(flip[:, None] if a.ndim == 2 else flip, a, b) for a, b in zip(one, other, strict=True))
        )

    return chosen(tail, head), chosen(head, tail)


def _report(grown: NutsTrajectory, method: TrajectoryMethod) -> NutsInfo:
    tally = grown.newest.tally
    return NutsInfo(
        acceptance_probability=tally.acceptance / jnp.maximum(tally.n_steps, 1),
        nonfinite=tally.nonfinite,
        infinite=tally.infinite,
        n_steps=tally.n_steps,
        n_steps_lockstep=jnp.full_like(tally.n_steps, jnp.max(tally.n_steps)),
        tree_depth=grown.tree_depth,
        diverging=tally.diverging,
        step_size=method.step_size[:, 0],
        energy=method.start - grown.fall,
    )
