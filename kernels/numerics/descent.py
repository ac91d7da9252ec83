"""Downhill from a far-off point to where a density's bulk begins: L-BFGS that stops on the slope, not at the bottom."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

MEMORY = 8
"""Steps that the curvature is estimated from."""
LIMIT = 400
"""Evaluations at most."""
SUFFICIENT = 1e-4
"""Share of the fall promised by the slope that a step must bring (Armijo)."""
SHORTER, LONGER = 0.25, 4.0
"""Factors on a step that failed, and on one along which the function bends downwards."""
CALM = 3
"""Steps in a row that gain little, after which the bulk is reached."""
TRIALS = 40
"""Failed steps in a row after which nothing more is to be gained."""


class Descent(NamedTuple):
    """Where a descent stands.

    x, value, gradient: the lowest point so far, [d], its value and gradient.
    direction, step: the next trial is x + step direction.
    steps, changes, curvature: the last MEMORY steps [m, d], changes of the gradient along them, and 1 / (s . y), 0
        where there is none.
    calm: steps in a row with little gain. failed: trials in a row. evaluations: so far.
    """

    x: jax.Array
    value: jax.Array
    gradient: jax.Array
    direction: jax.Array
    step: jax.Array
    steps: jax.Array
    changes: jax.Array
    curvature: jax.Array
    calm: jax.Array
    failed: jax.Array
    evaluations: jax.Array


def descended(function: Callable[[jax.Array], jax.Array], start: jax.Array) -> jax.Array:
    """The point [d] that L-BFGS reaches from `start` when three steps in a row each gain less than 2 + sqrt(d).

    function: minus a log density. In its bulk the log density of d near-normal coordinates varies by about
    sqrt(d / 2), so that the descent ends near the bulk's edge instead of at a mode, which may lie far from the bulk, or
    nowhere (a hierarchical scale going to 0). A point without a finite value is left as it is. The function stands
    once in the compiled program. Source: Nocedal and Wright 2006, Numerical Optimization, algorithms 7.4 and 3.1.
    """
    evaluate = jax.value_and_grad(function)
    little = 2.0 + jnp.sqrt(1.0 * start.size)

    def goes_on(now: Descent) -> jax.Array:
        return (now.calm < CALM) & (now.failed < TRIALS) & (now.evaluations < LIMIT) & jnp.isfinite(now.value)

    def trial(now: Descent) -> Descent:
        there = now.x + now.step * now.direction
        value, gradient = evaluate(there)
        slope = now.gradient @ now.direction
        usable = jnp.isfinite(value) & jnp.all(jnp.isfinite(gradient))
        lower = usable & (value <= now.value + SUFFICIENT * now.step * slope)
        after = _accepted(now, there, value, gradient, little)
        shorter = now._replace(step=SHORTER * now.step, failed=now.failed + 1)
        chosen: Descent = jax.tree.map(lambda yes, no: jnp.where(lower, yes, no), after, shorter)
        return chosen._replace(evaluations=now.evaluations + 1)

    return jax.lax.while_loop(goes_on, trial, _begun(evaluate, start)).x


def _begun(evaluate: Callable[[jax.Array], tuple[jax.Array, jax.Array]], start: jax.Array) -> Descent:
    value, gradient = evaluate(start)
    nothing = jnp.zeros((MEMORY, start.size))
    zero = jnp.zeros((), jnp.int32)
    step = 1.0 / jnp.maximum(jnp.linalg.norm(gradient), 1e-300)
    return Descent(start, value, gradient, -gradient, step, nothing, nothing, jnp.zeros(MEMORY), zero, zero, zero)


def _accepted(now: Descent, x: jax.Array, value: jax.Array, gradient: jax.Array, little: jax.Array) -> Descent:
    """The descent at a new lowest point."""
    step, change = x - now.x, gradient - now.gradient
    product = step @ change
    convex = product > 1e-12 * (change @ change) ** 0.5 * (step @ step) ** 0.5
    rows = now.steps, now.changes, now.curvature
    latest = step, change, 1.0 / jnp.where(convex, product, 1.0)
    kept = [
        jnp.where(convex, jnp.concatenate([old[1:], new[None]]), old) for old, new in zip(rows, latest, strict=True)
    ]
    direction = -_inverse_hessian_times(gradient, kept[0], kept[1], kept[2])
    # Where the function bends downwards its curvature says nothing of how far to go: further than before.
    length = jnp.where(convex, 1.0, LONGER * now.step * jnp.linalg.norm(now.direction) / jnp.linalg.norm(direction))
    calm = jnp.where(now.value - value < little, now.calm + 1, 0)
    return now._replace(
        x=x,
        value=value,
        gradient=gradient,
        direction=direction,
        step=length,
        steps=kept[0],
        changes=kept[1],
        curvature=kept[2],
        calm=calm,
        failed=jnp.zeros_like(now.failed),
    )


def _inverse_hessian_times(
    gradient: jax.Array, steps: jax.Array, changes: jax.Array, curvature: jax.Array
) -> jax.Array:
    """H g by the two loops over the last steps; those with curvature 0 are not there yet."""
    rest, weights = gradient, []
    for i in reversed(range(MEMORY)):
        weight = curvature[i] * (steps[i] @ rest)
        rest = rest - weight * changes[i]
        weights.append(weight)
    last = curvature[-1] * (changes[-1] @ changes[-1])
    rest = rest / jnp.where(last > 0, last, 1.0)
    for i, weight in zip(range(MEMORY), reversed(weights), strict=True):
        rest = rest + steps[i] * (weight - curvature[i] * (changes[i] @ rest))
    return rest
