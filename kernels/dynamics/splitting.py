"""Splitting off a standard normal: the motion under it is solved exactly, and kicks are by the rest of the potential.

Some coordinates u of a position have a term w u'u / 2 in U, w being the inverse temperature of that term, and the
others, x, have not. H = A + B with

    A = w u'u / 2 + (p_u'p_u + p_x'p_x) / 2,    B = U - w u'u / 2.

The flow of A for a time t, with f = sqrt(w), is a rotation of every (u, p_u) and a drift of x, all at once:

    u  <-  u cos ft + p_u sin(ft) / f,    p_u  <-  p_u cos ft - f u sin ft,    x  <-  x + t p_x,

with the old u in both: a rotation preserves volume and is undone by turning p round. With the new u in the second it
would shrink volume by cos^2 ft a pair. However many coordinates u has, what the rotation does to H is nothing; the
error of a step comes from B alone, whose force on a single u_i vanishes where a likelihood averages over many of them.
Where w is not the weight of such a term the splitting is as exact, and no better than leapfrog.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.dynamics.forces import bounded
from kernels.dynamics.integrators import Flow, Phase, ValueAndGradient, phase_at
from kernels.state import LevelView


class Harmonic(NamedTuple):
    """The part w u'u / 2 of U. origin: coordinates at offset 0, of the offsets' shape; frequency: f = sqrt(w) > 0,
    broadcasts against them, with length 1 along `axis`; rotating: which of them are u, broadcasts too; axis: that of
    the coordinates of a block or chain."""

    origin: jax.Array
    frequency: jax.Array
    rotating: jax.Array
    axis: int


class Auxiliary:
    """The coordinates of a level that a term of the target makes standard normal: the last ones of every block.

    term: the name of that term, -u'u / 2 and constants. first: the number of other coordinates of a block.
    Raises ValueError where the level has no such coordinate, and where they are not the last of every block.
    """

    def __init__(self, view: LevelView, term: str) -> None:
        self.view, self.term = view, term
        level = view.level
        if term not in view.structure.depends or term not in level.terms:
            raise ValueError(
                f"term {term!r} does not depend on level {level.name!r}, whose terms are {', '.join(level.terms)}; "
                "give the name of the standard normal term of some of its sites"
            )
        sites = view.structure.depends[term]
        shapes = {name: view.target.sites[name].shape for name in level.sites}
        with jax.ensure_compile_time_eval():
            marks = np.asarray(level.gather({n: jnp.full(shape, 1.0 * (n in sites)) for n, shape in shapes.items()}))
        self.first = int(np.sum(marks[:, 0] == 0.0))
        if level.mask is not None or (marks != (np.arange(level.width) >= self.first)[:, None]).any():
            raise ValueError(
                f"the sites {', '.join(sorted(sites))} of term {term!r} are not the last coordinates of each block of "
                f"level {level.name!r}, whose sites are {', '.join(level.sites)}: declare them after all others"
            )

    def weight(self, beta: jax.Array | float) -> jax.Array | float:
        """w: what multiplies the term at inverse temperature beta."""
        return self.view.weight(self.term, beta)

    def harmonic(self, blocks: jax.Array, beta: jax.Array | float) -> Harmonic:
        """The harmonic part of the potential of blocks [p, B] as a function of offsets from them."""
        rotating = jnp.arange(self.view.level.width)[:, None] >= self.first
        return Harmonic(blocks, jnp.sqrt(jnp.asarray(self.weight(beta), jnp.float64)), rotating, axis=0)

    def harmonic_rows(self, rows: jax.Array, beta: jax.Array) -> Harmonic:
        """The same for chains [R, p], one block each, with an inverse temperature each, [R]."""
        weight = jnp.broadcast_to(jnp.asarray(self.weight(beta), jnp.float64), rows.shape[:1])
        rotating = jnp.arange(self.view.level.width) >= self.first
        return Harmonic(rows, jnp.sqrt(weight)[:, None], rotating, axis=1)


def split(
    value_and_gradient: ValueAndGradient, harmonic: Harmonic, steepest: jax.Array | float = np.inf
) -> tuple[ValueAndGradient, Mapping[str, Flow]]:
    """What kicks use, offset -> (U, gradient of what is left of U, of norm `steepest` at most), and all flows.

    The potential stays the whole one, so that H = U + |p|^2 / 2 is read from a phase as for any other flows.
    """
    stiffness = jnp.where(harmonic.rotating, harmonic.frequency**2, 0.0)

    def evaluate(offset: jax.Array) -> tuple[jax.Array, jax.Array]:
        potential, gradient = value_and_gradient(offset)
        rest = gradient - stiffness * (harmonic.origin + offset)
        return potential, bounded(rest, steepest, harmonic.axis)

    return evaluate, harmonic_flows(evaluate, harmonic)


def harmonic_flows(evaluate: ValueAndGradient, harmonic: Harmonic) -> dict[str, Flow]:
    """glide: the flow of A; rotate: the same, then the force anew; kick: by the force it has; impulse: by a new one."""

    def glide(time: jax.Array, phase: Phase) -> Phase:
        angle = harmonic.frequency * time
        # Offsets change by (cos - 1) u, which is exact for small angles where cos u - u is not.
        versine, sine, cosine = 2.0 * jnp.sin(0.5 * angle) ** 2, jnp.sin(angle), jnp.cos(angle)
        u, p = harmonic.origin + phase.offset, phase.momentum
        turned = sine / harmonic.frequency * p - versine * u
        offset = phase.offset + jnp.where(harmonic.rotating, turned, time * p)
        momentum = jnp.where(harmonic.rotating, cosine * p - harmonic.frequency * sine * u, p)
        return phase._replace(offset=offset, momentum=momentum)

    def rotate(time: jax.Array, phase: Phase) -> Phase:
        moved = glide(time, phase)
        return phase_at(evaluate, moved.offset, moved.momentum)

    def kick(time: jax.Array, phase: Phase) -> Phase:
        return phase._replace(momentum=phase.momentum - time * phase.gradient)

    def impulse(time: jax.Array, phase: Phase) -> Phase:
        return kick(time, phase_at(evaluate, phase.offset, phase.momentum))

    return {"kick": kick, "rotate": rotate, "glide": glide, "impulse": impulse}
