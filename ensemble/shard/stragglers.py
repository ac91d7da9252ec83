"""Stragglers of the scout stage go where the others are: approximate, and therefore in no other stage."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from kernels.state import State, log_density

NORMAL = 1.4826
"""The standard deviation of a normal law in units of its median absolute deviation."""


def relocated(key: jax.Array, states: State, furthest: jax.Array | float, dimension: int) -> tuple[State, jax.Array]:
    """The states [R] of one superchain with stragglers put where others stand, chosen evenly; and their number.

    A straggler's log density lies more than `furthest` standard deviations below the median of the replicas. The unit
    is theirs, from the median absolute deviation, and at least that of d near-normal coordinates, sqrt(d / 2).
    A replica thrown onto a plateau of the density on its way from a dispersed start takes hundreds of trajectories to
    climb back, and all that time it spoils the moments of the ensemble.

    Not exact: it would empty a mode whose typical density is that much lower than the others'. Copies part with their
    next momentum. Pruning the stuck walkers of an ensemble: Hou, Goodman, Hogg, Weare and Schwab 2012, ApJ 745, 198.
    """
    height = jax.vmap(log_density)(states.cells)
    median = jnp.median(height)
    unit = jnp.maximum(jnp.sqrt(dimension / 2), NORMAL * jnp.median(jnp.abs(height - median)))
    lost = ~(height >= median - furthest * unit)
    count = height.shape[0]
    places = jax.random.categorical(key, jnp.where(lost, -jnp.inf, 0.0), shape=(count,))
    source = jnp.where(lost, places, jnp.arange(count))
    moved: State = jax.tree.map(lambda values: values[source], states)
    return moved, jnp.sum(lost)


def by_chance(furthest: float, dimension: int) -> float:
    """The share of independent draws from a normal density of so many dimensions that counts as stragglers.

    Twice the loss of log density against the mode is chi-square with d degrees of freedom.
    """
    chi_square = scipy.stats.chi2(dimension)
    return float(chi_square.sf(chi_square.median() + furthest * np.sqrt(2 * dimension)))
