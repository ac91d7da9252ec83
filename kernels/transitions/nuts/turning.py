"""When a trajectory turns back on itself: the generalised U-turn rule, and the memory that asks it of all subtrees.

A trajectory of two halves, momenta p_1 .. p_m | p_{m+1} .. p_n along it, sums S' and S'', turns if any of these does:
the whole (p_1, p_n, S' + S''), the first half with the first point of the second (p_1, p_{m+1}, S' + p_{m+1}), and the
last point of the first half with the second (p_m, p_n, p_m + S''). The last two see a half turn that the whole, having
gone round once, does not show. All three read the same from both ends, so the direction of growth does not matter.
Source: Betancourt (2017), arXiv 1701.02434, appendix A.4; the checks across halves are those of Stan.

Subtrees in O(log n) memory (Phan, Pradhan and Jankowiak 2019, arXiv 1912.11554, appendix A): the subtrees that end at
leaf n (from 0) are those of lengths 2^k that divide n + 1, k >= 1. Such a one starts at n with its lowest k bits
cleared, a number with popcount(n) - k bits set, and no later leaf has overwritten slot popcount(start) by then. Its
second half starts where the subtree of length 2^(k-1) does. So a slot holds the momentum of its leaf, that of the leaf
before, and the sum of the momenta before.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

LANES = 8
"""Independent sums in an inner product: XLA keeps the order of additions, and each would wait for the one before."""

Rule = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""(momentum at one end, at the other, sum of all, ends included), [R, d] each -> whether the chain turned, [R]."""


class Checkpoints(NamedTuple):
    """Momenta by slot, [slots, R, d] each.

    momentum: of a leaf.
    before: of the leaf before it.
    sums: of all leaves of the subtree before it.
    """

    momentum: jax.Array
    before: jax.Array
    sums: jax.Array


def inner(left: jax.Array, right: jax.Array) -> jax.Array:
    """Inner products of the rows, [R, d] and [R, d] -> [R]."""
    product = left * right
    width = product.shape[-1] // LANES
    if width < 2:
        return jnp.sum(product, axis=-1)
    folded = sum((product[:, i * width : (i + 1) * width] for i in range(1, LANES)), start=product[:, :width])
    return jnp.sum(folded, axis=-1) + jnp.sum(product[:, LANES * width :], axis=-1)


def u_turn(start: jax.Array, end: jax.Array, total: jax.Array) -> jax.Array:
    """The generalised rule with unit mass: p_start . rho <= 0 or p_end . rho <= 0, rho the sum of the momenta, [R]."""
    return ~((inner(start, total) > 0.0) & (inner(end, total) > 0.0))


class Turning(NamedTuple):
    """When a trajectory ends.

    rule: whether what it sees turned.
    watched: how many of the coordinates, the first, it sees; None for all. The end stays a function of the leaves,
        which is all that exactness asks.
    """

    rule: Rule = u_turn
    watched: int | None = None


PUBLISHED = Turning()
"""The published rule on all coordinates."""


def u_turn_between(start: jax.Array, end: jax.Array, total: jax.Array) -> jax.Array:
    """The rule with half of the momenta at the ends left out of rho, which is then the way from end to end.

    Trajectories stop sooner: on a correlated Gaussian of 100 dimensions a draw of 256 chains takes half the steps
    in lock-step, for 1.2 to 1.7 times the effective draws a step; a chain's own steps are worth the same.
    Source: Phan, Pradhan and Jankowiak (2019), arXiv 1912.11554, whose implementation has it.
    """
    return u_turn(start, end, total - 0.5 * (start + end))


def capped(step_size: jax.Array, limit: float) -> Rule:
    """u_turn_between, and a turn also where the way's product with a momentum at either end exceeds `limit`.

    step_size: h of each chain, [R], which makes a way of the sum of the momenta.
    """

    def rule(start: jax.Array, end: jax.Array, total: jax.Array) -> jax.Array:
        way = jnp.abs(step_size)[:, None] * (total - 0.5 * (start + end))
        far = jnp.maximum(inner(start, way), inner(end, way)) > limit
        return u_turn(start, end, way) | far

    return rule


def merge_turns(
    rule: Rule,
    ends: tuple[jax.Array, jax.Array],
    middle: tuple[jax.Array, jax.Array],
    halves: tuple[jax.Array, jax.Array],
) -> jax.Array:
    """Whether a trajectory of two halves turns, [R]: its end momenta, those next to the middle, the halves' sums."""
    (start, end), (before, after), (first, second) = ends, middle, halves
    across = rule(start, after, first + after) | rule(before, end, before + second)
    return rule(start, end, first + second) | across


def no_checkpoints(slots: int, like: jax.Array) -> Checkpoints:
    """Empty slots for momenta like [R, d]."""
    return Checkpoints(*(jnp.zeros((slots, *like.shape), like.dtype) for _ in Checkpoints._fields))


def remember(
    checkpoints: Checkpoints, leaf: jax.Array, momentum: jax.Array, before: jax.Array, sums: jax.Array
) -> Checkpoints:
    """The checkpoints after `leaf`: an even one is written to slot popcount(leaf), after an odd one nothing changes.

    As a loop of one turn or none and not a branch: XLA updates the carry of a loop in place.
    """
    slot = jax.lax.population_count(leaf)

    def write(_: jax.Array, held: Checkpoints) -> Checkpoints:
        return Checkpoints(*(all_.at[slot].set(new) for all_, new in zip(held, (momentum, before, sums), strict=True)))

    return jax.lax.fori_loop(0, 1 - leaf % 2, write, checkpoints)


def subtree_turns(
    rule: Rule, checkpoints: Checkpoints, leaf: jax.Array, momentum: jax.Array, before: jax.Array, total: jax.Array
) -> jax.Array:
    """Whether a subtree that ends at `leaf` turns, [R]. total: sum of the momenta from leaf 0 to this one.

    Of two leaves the checks across the halves are that of the whole, which needs no checkpoint.
    """
    bits = jax.lax.population_count(leaf)
    largest = jax.lax.population_count(leaf ^ (leaf + 1)) - 1

    def one(k: jax.Array, turned: jax.Array) -> jax.Array:
        start, middle = _slot(checkpoints, bits - k), _slot(checkpoints, bits - k + 1)
        halves = middle.sums - start.sums, total - middle.sums
        return turned | merge_turns(rule, (start.momentum, momentum), (middle.before, middle.momentum), halves)

    def check() -> jax.Array:
        return jax.lax.fori_loop(2, largest + 1, one, rule(before, momentum, before + momentum))

    return jax.lax.cond(leaf % 2 == 1, check, lambda: jnp.zeros(momentum.shape[0], bool))


def _slot(checkpoints: Checkpoints, slot: jax.Array) -> Checkpoints:
    return Checkpoints(*(held[slot] for held in checkpoints))
