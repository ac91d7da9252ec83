"""The law that a coordinate has across many blocks, as a piecewise uniform density with fine tails, and its draws.

Where most blocks' values lie in a narrow spike and a few far off, a block of little information may be in either: no
normal fit of that block proposes both well, and what the other blocks have does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.numerics.special import log

FINEST = 13
"""Outermost bins hold 2^-FINEST of the values."""
_TAIL = 2.0 ** -np.arange(FINEST, 1, -1)
PROBABILITIES = np.concatenate([[0.0], _TAIL, np.linspace(0.25, 0.75, 9)[1:-1], 1.0 - _TAIL[::-1], [1.0]])
"""Of the knots: a tail's bins halve from one to the next."""
BINS = len(PROBABILITIES) - 1
MASSES = 0.5 * np.diff(PROBABILITIES) + 0.5 / BINS
"""Probability of a draw from each bin: half of them as the values lie, half from all bins alike. A far value may be a
thousand times as probable in one block as it is across the blocks."""
_EDGES = np.cumsum(MASSES)[:-1]
_STARTS = np.concatenate([[0.0], _EDGES])
NOTHING = -1e300
"""Log density where no draw comes: a block from there stays. Minus infinity would count as a fault of the model's."""


class CommonLaw(NamedTuple):
    """Of the coordinates of a level's blocks, for independence proposals of one coordinate at a time.

    knots: [p, BINS + 1], quantiles across blocks and replicas at PROBABILITIES.
    acceptance: [p], mean acceptance of its proposals, 1 before any.
    share: [B], of the sweeps that offer a draw, those in which a block takes one.
    """

    knots: jax.Array | np.ndarray
    acceptance: jax.Array | np.ndarray
    share: jax.Array | np.ndarray


def quantiles(values: jax.Array) -> jax.Array:
    """The knots [p, BINS + 1] of values [R, p, B]."""
    return jnp.quantile(values, PROBABILITIES, axis=(0, 2)).T


def draw(knots: jax.Array, uniform: jax.Array) -> jax.Array:
    """Draws of a coordinate with these knots [BINS + 1] from uniform numbers in [0, 1)."""
    bin_ = jnp.searchsorted(jnp.asarray(_EDGES), uniform, side="right", method="compare_all")
    within = (uniform - jnp.asarray(_STARTS)[bin_]) / jnp.asarray(MASSES)[bin_]
    return knots[bin_] + jnp.clip(within, 0.0, 1.0) * (knots[bin_ + 1] - knots[bin_])


def log_density(knots: jax.Array, x: jax.Array) -> jax.Array:
    """log q(x), NOTHING beyond the outermost knots."""
    bin_ = jnp.searchsorted(knots[1:-1], x, side="right", method="compare_all")
    heights = log(jnp.asarray(MASSES)) - log(jnp.maximum(jnp.diff(knots), 1e-300))
    inside = (x >= knots[0]) & (x <= knots[-1])
    return jnp.where(inside, heights[bin_], NOTHING)
