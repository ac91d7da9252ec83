"""Coordinates of a curve that a recording tells directly: where it starts, how far it falls, how much it wins back.

Where recovery is slow, alpha, beta and c say little of themselves: many of them, with phi and delta, draw almost the
same curve over a recording's 15 minutes, along a narrow bent ridge. Given the other four parameters, the curve is
linear in alpha, -beta and gamma = -c beta, and with w(t) = s2(t) - s2(0)

    start    = alpha + gamma s2(0)          where the curve begins, but for s1(0)
    fall     = -beta - gamma w(tau + 1.5)   from there to the dip, a minute and a half after tau
    recovery = gamma w(15)                  what the second step gives within a recording

are known well whatever phi and delta are: stable parameters (Ross 1990, Nonlinear Estimation, chapter 2). Coordinates
are (start, fall, log recovery), the first two in units of 100 ms; the map to (alpha, beta, c) has the Jacobian 100^2 c.
"""

from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints

from workflows.models.rri.curve import Curve, steps
from workflows.models.rri.published import MINUTES

NAMES = ("start", "fall", "log_recovery")
"""The last axis of the coordinates."""
LINEAR = ("alpha", "beta", "c")
UNIT = 100.0
"""Milliseconds."""
DIP = 1.5
"""Minutes from tau to the dip."""


def linear(heights: jax.Array, shape: Curve) -> tuple[jax.Array, jax.Array, jax.Array]:
    """alpha, beta, c, [...] each, of coordinates [..., 3] and the other four parameters of `shape`."""
    first, dip, last = _second_step(shape)
    start, fall, log_recovery = jnp.moveaxis(heights, -1, 0)
    gamma = jnp.exp(log_recovery) / (last - first)
    alpha, depth = UNIT * start - gamma * first, UNIT * fall + gamma * (dip - first)
    return alpha, -depth, gamma / depth


def heights_of(alpha: jax.Array, beta: jax.Array, c: jax.Array, shape: Curve) -> jax.Array:
    """The coordinates [..., 3]: the inverse of `linear`."""
    first, dip, last = _second_step(shape)
    gamma = -c * beta
    start, fall = alpha + gamma * first, -beta - gamma * (dip - first)
    return jnp.stack([start / UNIT, fall / UNIT, jnp.log(gamma) + jnp.log(last - first)], axis=-1)


def _second_step(shape: Curve) -> tuple[jax.Array, jax.Array, jax.Array]:
    """s2 at the first minute, at the dip and at the last minute."""
    first, dip, last = (steps(shape, jnp.asarray(time))[1] for time in (0.0, shape.tau + DIP, MINUTES))
    return first, dip, last


class Heights(dist.Distribution):
    """The law of these coordinates where alpha, beta and c have laws of their own, given the other four parameters."""

    support = constraints.real_vector
    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(
        self, laws: Mapping[str, dist.Distribution], shape: Curve, *, validate_args: bool | None = None
    ) -> None:
        """laws: by the names of LINEAR; shape: its alpha, beta and c are not read."""
        self.laws, self.curve = laws, shape
        batch = jnp.broadcast_shapes(jnp.shape(shape.tau), *(law.batch_shape for law in laws.values()))
        super().__init__(batch, (len(NAMES),), validate_args=validate_args)

    def log_prob(self, value: jax.Array) -> jax.Array:
        """log density, -inf where alpha or beta has the wrong sign."""
        found = dict(zip(LINEAR, linear(value, self.curve), strict=True))
        right = (found["alpha"] > 0) & (found["beta"] < 0)
        # Elsewhere any values of the right signs: what is not chosen must have a gradient all the same.
        safe = {name: jnp.where(right, x, sign) for (name, x), sign in zip(found.items(), (1, -1, 1), strict=True)}
        total = sum(law.log_prob(safe[name]) for name, law in self.laws.items())
        return jnp.where(right, total + 2.0 * np.log(UNIT) + jnp.log(safe["c"]), -jnp.inf)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws of alpha, beta and c, in these coordinates."""
        shape = sample_shape + self.batch_shape
        keys = jax.random.split(key, len(LINEAR))
        alpha, beta, c = (self.laws[name].sample(k, shape) for name, k in zip(LINEAR, keys, strict=True))
        return heights_of(alpha, beta, c, self.curve)
