"""Elliptical slice sampling on all blocks of a level at once, on ellipses of the ensemble's own normal fit."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.dynamics.metric import multiply, solve
from kernels.state import LevelView, State
from kernels.transitions.per_replica import PerReplica
from kernels.types import Cells, Data

MOST_SHRINKS = 40
"""Points of an ellipse tried at most. Each shrinks the arc to a half on average; a block without a point then stays."""


class EllipticalSliceParameters(NamedTuple):
    """What steers a step.

    beta: inverse temperature.
    mean: [p, B] of the fit.
    factor: [p, p, B] lower triangles, or [p, B], of its covariance.
    """

    beta: jax.Array
    mean: jax.Array
    factor: jax.Array


class EllipticalSliceInfo(NamedTuple):
    """What a step of a replica reports.

    acceptance_probability: 1 where a block found a point of its slice, else 0, [B].
    evaluations: of the log density, which all blocks wait for, a count.
    nonfinite: points passed over because their log density was not finite, a count.
    infinite: those of them where it was +inf, a count.
    """

    acceptance_probability: jax.Array
    evaluations: jax.Array
    nonfinite: jax.Array
    infinite: jax.Array


class _Arc(NamedTuple):
    """Where the search stands.

    key: of the next point.
    angle: of the present point of every block, [B].
    lower: where the arc that is left begins, [B].
    upper: where it ends, [B].
    found: which blocks have their point, [B].
    cells: of the level's terms at the present points.
    evaluations: so far.
    nonfinite: so far.
    infinite: so far.
    """

    key: jax.Array
    angle: jax.Array
    lower: jax.Array
    upper: jax.Array
    found: jax.Array
    cells: Cells
    evaluations: jax.Array
    nonfinite: jax.Array
    infinite: jax.Array


class EllipticalSlice(PerReplica):
    """Slice sampling of f - log N(m, L L') along ellipses that leave N(m, L L') invariant. Exact; nothing to tune.

    With z = L^-1 (x - m) and xi ~ N(0, I), the ellipse of a block is x(t) = m + (x - m) cos t + L xi sin t, and with
    U uniform a point is taken whose f(x(t)) + |z(t)|^2 / 2 is above f(x) + |z|^2 / 2 + log U. The first angle is
    uniform, later ones on the arc that shrinks towards 0 about every point that was not taken. f = beta * (terms of the
    block). Any fixed m and L are exact: they are frozen, and matter for how long the search takes. Ending a search
    after `most` points, the block where it was, keeps the kernel reversible: the way back passes the same points.

    Source: Murray, Adams and MacKay (2010), Elliptical slice sampling, AISTATS, figure 2; normal fits in the place of
    a normal prior: Nishihara, Murray and Adams (2014), JMLR 15, 2087-2112, section 3.
    """

    exact = True

    def __init__(self, view: LevelView, most: int = MOST_SHRINKS) -> None:
        super().__init__(view.target.dimension)
        self.view, self.most = view, most

    def one(
        self, key: jax.Array, state: State, data: Data, parameters: EllipticalSliceParameters
    ) -> tuple[State, EllipticalSliceInfo]:
        """A point of the slice for every block."""
        level, (beta, mean, factor) = self.view.level, parameters
        noise_key, height_key, angle_key, search_key = jax.random.split(key, 4)
        noise = jax.random.normal(noise_key, (level.width, level.n_blocks))
        if level.mask is not None:
            noise = noise * level.mask
        old = self.view.blocks(state.position)
        offset, across = old - mean, multiply(factor, noise)
        start = solve(factor, offset)
        height = jnp.log(jax.random.uniform(height_key, (level.n_blocks,)))

        def at(angle: jax.Array) -> jax.Array:
            return mean + offset * jnp.cos(angle) + across * jnp.sin(angle)

        def rise(angle: jax.Array, cells: Cells) -> jax.Array:
            """Of the log density over the fit, [B]."""
            moved = start * jnp.cos(angle) + noise * jnp.sin(angle)
            outside = 0.5 * (jnp.sum(moved**2, axis=0) - jnp.sum(start**2, axis=0))
            return self.view.change(state.cells, cells, beta) + outside

        def look(arc: _Arc) -> _Arc:
            """The terms at the present points; a smaller arc and another point for blocks that do not take theirs."""
            cells = self.view.cells_at(level.scatter(state.position, at(arc.angle)), data)
            change = rise(arc.angle, cells)
            found = arc.found | ((change > height) & (change < jnp.inf))
            bad, above = (jnp.sum(~arc.found & wrong) for wrong in (~jnp.isfinite(change), change == jnp.inf))
            lower = jnp.where(found | (arc.angle >= 0), arc.lower, arc.angle)
            upper = jnp.where(found | (arc.angle < 0), arc.upper, arc.angle)
            following, here = jax.random.split(arc.key)
            fresh = lower + (upper - lower) * jax.random.uniform(here, lower.shape)
            last = arc.evaluations + 1 >= self.most
            angle = jnp.where(found | last, arc.angle, fresh)
            counts = arc.evaluations + 1, arc.nonfinite + bad, arc.infinite + above
            return _Arc(following, angle, lower, upper, found, cells, *counts)

        angle = 2.0 * jnp.pi * jax.random.uniform(angle_key, (level.n_blocks,))
        nobody, zero = jnp.zeros(level.n_blocks, bool), jnp.zeros((), jnp.int64)
        unseen = {name: state.cells[name] for name in level.terms}
        first = _Arc(search_key, angle, angle - 2.0 * jnp.pi, angle, nobody, unseen, zero, zero, zero)
        arc = jax.lax.while_loop(lambda arc: ~jnp.all(arc.found) & (arc.evaluations < self.most), look, first)
        state = self.view.select(arc.found, state, at(arc.angle), old, arc.cells)
        return state, EllipticalSliceInfo(1.0 * arc.found, arc.evaluations, arc.nonfinite, arc.infinite)
