"""Stragglers of the warm-up go where the others are: approximate, and therefore in no stage that records."""

import jax
import jax.numpy as jnp

from kernels.state import State, log_density


def relocated(
    key: jax.Array, states: State, floor: jax.Array, behind: jax.Array, astray: jax.Array
) -> tuple[State, jax.Array]:
    """The states [R] of one superchain, those `behind` [R] that are still below the log density `floor` (or NaN), and
    those `astray` [R], put where others stand, chosen evenly; and their number. Where all are, they stay: the whole
    superchain is lost, not a replica.

    A replica thrown onto a plateau of the density on its way from a dispersed start takes hundreds of trajectories to
    climb back, and all that time it spoils the moments of the ensemble.

    Not exact: it would empty a mode whose typical density is that much lower than the others'. Copies part with their
    next momentum. Pruning the stuck walkers of an ensemble: Hou, Goodman, Hogg, Weare and Schwab 2012, ApJ 745, 198.
    """
    height = jax.vmap(log_density)(states.cells)
    lost = (behind & ~(height >= floor)) | astray
    some = jnp.any(~lost)
    count = height.shape[0]
    places = jax.random.categorical(key, jnp.where(lost & some, -jnp.inf, 0.0), shape=(count,))
    source = jnp.where(lost & some, places, jnp.arange(count))
    moved: State = jax.tree.map(lambda values: values[source], states)
    return moved, jnp.sum(lost)
