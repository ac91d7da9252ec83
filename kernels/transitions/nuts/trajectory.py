"""One multinomial NUTS trajectory of many chains at once, free of any model: doublings until it turns."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint

from kernels.dynamics.integrators import Flow, Phase, Scheme, ValueAndGradient, hamiltonian_flows, phase_at, stepper
from kernels.transitions.nuts.tree import Draws, Method, Subtree, energy, grow, no_leaves
from kernels.transitions.nuts.turning import Rule, merge_turns, u_turn


class NutsInfo(NamedTuple):
    """What a trajectory reports, [R] each.

    accepted: mean of min(1, exp(H0 - H)) over the new leaves, to adapt the step size by; leapfrogs: integrator steps of
    the chain's own; executed: steps done in lock-step, the largest of these in its group; depth: doublings that joined
    the trajectory; diverged: whether it ended by a leaf with H - H0 > 1000 or not finite; nonfinite: leaves where H was
    not finite, a count.
    """

    accepted: jax.Array
    leapfrogs: jax.Array
    executed: jax.Array
    depth: jax.Array
    diverged: jax.Array
    nonfinite: jax.Array


class Trajectory(NamedTuple):
    """The doublings so far. head: the end that grew last; tail: the other; direction: of the last growth, [R]; total:
    sum of the watched momenta; offset: the chosen point; log_weight: log of the sum of exp(H0 - H); depth: doublings
    that joined; newest: the last subtree, with the tally of all."""

    doubling: jax.Array
    head: Phase
    tail: Phase
    direction: jax.Array
    total: jax.Array
    offset: jax.Array
    log_weight: jax.Array
    depth: jax.Array
    newest: Subtree


def trajectory(
    value_and_gradient: ValueAndGradient,
    scheme: Scheme,
    offset: jax.Array,
    draws: Draws,
    step: jax.Array,
    depth: jax.Array | int,
    max_depth: int,
    flows: Mapping[str, Flow] | None = None,
    turning: Rule = u_turn,
    watched: int | None = None,
) -> tuple[jax.Array, NutsInfo]:
    """One draw for each of R chains from offset [R, d]: the chosen offsets [R, d], and the info.

    value_and_gradient: [R, d] -> (U [R], dU [R, d]), unit mass; step: a scalar or [R]; depth: largest number of
    doublings, at most max_depth, which sets the shape of the memory. flows: those of the scheme, in place of kick and
    drift; turning: another U-turn rule; watched: how many coordinates, the first, it looks at, all if left out (the
    stop stays a function of the leaves, which is all that exactness asks). Multinomial choice within a subtree by the
    largest Gumbel noise - H, which does not depend on the order of growth; between old and new with probability
    min(1, w_new / w_old).
    Source: Betancourt (2017), arXiv 1701.02434, appendix A.3; Hoffman and Gelman (2014), JMLR 15, 1593-1623.
    """
    evaluate = row_major(value_and_gradient)
    phase = phase_at(evaluate, offset, draws.momentum)
    advance = stepper(scheme, hamiltonian_flows(evaluate) if flows is None else flows)
    size = jnp.broadcast_to(step, offset.shape[:1])[:, None]
    method = Method(advance, size, turning, draws, energy(phase), watched)
    limit = jnp.minimum(depth, max_depth)
    grown = jax.lax.while_loop(
        lambda now: (now.doubling < limit) & jnp.any(now.newest.tally.active),
        lambda now: double(method, now),
        _start(phase, draws, max_depth, method.watch(phase)),
    )
    return grown.offset, _report(grown)


def row_major(value_and_gradient: ValueAndGradient) -> ValueAndGradient:
    """The same function with a gradient that lies in memory chain by chain.

    The gradient of a vmapped model often comes coordinate by coordinate, and XLA would read it so at every use, in
    strides: with a matrix of 100 x 100 for a model and 256 chains one copy took 150 of 560 us off a leaf.
    """

    def evaluate(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        potential, gradient = value_and_gradient(offset)
        return potential, with_layout_constraint(gradient, Layout(major_to_minor=(0, 1)))

    return evaluate


def double(method: Method, old: Trajectory) -> Trajectory:
    """Grow a subtree as long as the trajectory from one of its ends, choose between the two, and see if they turn."""
    direction = method.draws.directions[:, old.doubling]
    near, far = _swap(direction != old.direction, old.head, old.tail)
    new = grow(method, old.newest, near, old.doubling, direction)
    whole = new.tally.active
    taken = whole & (method.draws.uniform[:, old.doubling] < jnp.exp(new.log_weight - old.log_weight))
    middle, ends = (method.watch(near), new.checkpoints.momentum[0]), (method.watch(far), method.watch(new.phase))
    turned = merge_turns(method.rule, ends, middle, (old.total, new.total))
    return Trajectory(
        doubling=old.doubling + 1,
        head=new.phase,
        tail=far,
        direction=direction,
        total=old.total + new.total,
        offset=jnp.where(taken[:, None], new.offset, old.offset),
        log_weight=jnp.logaddexp(old.log_weight, new.log_weight),
        depth=old.depth + whole,
        newest=new._replace(tally=new.tally._replace(active=whole & ~turned)),
    )


def _start(phase: Phase, draws: Draws, max_depth: int, watched: jax.Array) -> Trajectory:
    """The trajectory of one point: both ends at once."""
    chains = phase.potential.shape[0]
    return Trajectory(
        doubling=jnp.zeros((), jnp.int32),
        head=phase,
        tail=phase,
        direction=draws.directions[:, 0],
        total=watched,
        offset=phase.offset,
        log_weight=jnp.zeros(chains),
        depth=jnp.zeros(chains, jnp.int32),
        newest=no_leaves(phase, max_depth, watched),
    )


def _swap(flip: jax.Array, head: Phase, tail: Phase) -> tuple[Phase, Phase]:
    """(tail, head) where the direction changes, else (head, tail)."""

    def chosen(one: Phase, other: Phase) -> Phase:
        return Phase(
            *(jnp.where(flip[:, None] if a.ndim == 2 else flip, a, b) for a, b in zip(one, other, strict=True))
        )

    return chosen(tail, head), chosen(head, tail)


def _report(grown: Trajectory) -> NutsInfo:
    tally = grown.newest.tally
    return NutsInfo(
        accepted=tally.accepted / jnp.maximum(tally.leapfrogs, 1),
        leapfrogs=tally.leapfrogs,
        executed=jnp.full_like(tally.leapfrogs, jnp.max(tally.leapfrogs)),
        depth=grown.depth,
        diverged=tally.diverged,
        nonfinite=tally.nonfinite,
    )
