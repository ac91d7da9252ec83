"""The normal law that a prior gives a site, read off its terms, and moves that keep the site's standardised value."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.structure.levels import Interweaving, along
from kernels.target import Target
from kernels.types import Data, Position


class NormalLaw(NamedTuple):
    """Of every coordinate of a site given all others, both of the site's shape.

    mean: on the unconstrained scale.
    log_sd: log of the standard deviation; NaN where the log density is not concave.
    """

    mean: jax.Array
    log_sd: jax.Array


def slopes(
    target: Target, terms: tuple[str, ...], child: str, position: Position, data: Data, direction: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Gradient of the sum of these terms by the child, and its Hessian times `direction`, of the child's shape."""

    def total(x: jax.Array) -> jax.Array:
        found = target.log_terms({**position, child: x}, data)
        return sum((jnp.sum(found[name]) for name in terms), start=jnp.zeros(()))

    return jax.jvp(jax.grad(total), (position[child],), (direction,))  # type: ignore[no-any-return]


def normal_law(target: Target, terms: tuple[str, ...], child: str, position: Position, data: Data) -> NormalLaw:
    """The law of the child where its log density f is a parabola in each coordinate: x - f' / f'' and -log(-f'') / 2.

    It depends on every other site and, where f is no such parabola, wrongly on the child as well.
    """
    gradient, curvature = slopes(target, terms, child, position, data, jnp.ones_like(position[child]))
    return NormalLaw(position[child] - gradient / curvature, -0.5 * jnp.log(-curvature))


def moved_along(
    target: Target, move: Interweaving
) -> Callable[[Position, jax.Array, Data], tuple[Position, jax.Array]]:
    """The step of a move of any kind."""
    if move.kind == "standardised":
        return partial(_along_standardised, target, move)
    return lambda position, eps, data: along(move, position, eps)


def _along_standardised(
    target: Target, move: Interweaving, position: Position, eps: jax.Array, data: Data
) -> tuple[Position, jax.Array]:
    """parent += eps; child <- m' + (child - m) s' / s with its law before (m, s) and after (m', s'). The position, and
    the log Jacobian, the sum of log(s' / s): minus the change of the child's prior."""
    law = partial(normal_law, target, move.terms, move.child, data=data)
    place = ... if move.place is None else (..., move.place)
    moved = {**position, move.parent: position[move.parent].at[place].add(eps)}
    before, after = law(position=position), law(position=moved)
    stretch = after.log_sd - before.log_sd
    child = after.mean + (position[move.child] - before.mean) * jnp.exp(stretch)
    return {**moved, move.child: child}, jnp.sum(stretch)


def is_normal(
    target: Target, terms: tuple[str, ...], child: str, points: tuple[Mapping[str, jax.Array], ...], data: Data
) -> jax.Array:
    """Whether the law of the child is normal, each coordinate on its own, at several positions that differ in the child
    alone: the same law there, and a Hessian that is diagonal."""
    positions = [dict(point) for point in points]
    laws = [normal_law(target, terms, child, position, data) for position in positions]
    close = [
        jnp.all(jnp.abs(one - two) <= 1e-7 * (1.0 + jnp.abs(two)))
        for law in laws[1:]
        for one, two in zip(law, laws[0], strict=True)
    ]
    signs = jnp.sign(positions[0][child] - positions[1][child])
    curvature = -jnp.exp(-2.0 * laws[0].log_sd)
    _, along_signs = slopes(target, terms, child, positions[0], data, signs)
    close.append(jnp.all(jnp.abs(along_signs - curvature * signs) <= 1e-7 * jnp.abs(curvature)))
    return jnp.all(jnp.stack(close))
