"""Temperature swaps along a ladder: which neighbours meet in a round, and which of them exchange their rungs.

Rung 0 is the coldest; a ladder of R rungs has R - 1 pairs of neighbours, pair i being rungs i and i + 1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from kernels.state import decide


class Swaps(NamedTuple):
    """What a round of swaps reports, by pair of neighbours.

    acceptance_probability: [R - 1], 0 where the pair was not tried.
    tried: bool [R - 1].
    nonfinite: proposals whose log ratio was not finite, a count.
    """

    acceptance_probability: jax.Array
    tried: jax.Array
    nonfinite: jax.Array


def pairs(round_: int | jax.Array, rungs: int) -> jax.Array:
    """Which neighbours are tried in a round, bool [R - 1]: (0, 1), (2, 3), ... in even, (1, 2), (3, 4), ... in odd.

    Deterministic, hence non-reversible: a walker whose swaps are accepted keeps its direction (Okabe, Kawata, Okamoto
    and Mikami 2001; Syed, Bouchard-Côté, Deligiannidis and Doucet 2022). round_: may be traced. Raises ValueError for
    fewer than 2 rungs.
    """
    if rungs < 2:
        raise ValueError(f"a ladder of {rungs} rungs has no neighbours: give it at least 2")
    return (jnp.arange(rungs - 1) - round_) % 2 == 0


def swap_log_ratio(beta_a: jax.Array, beta_b: jax.Array, energy_a: jax.Array, energy_b: jax.Array) -> jax.Array:
    """log alpha = (beta_a - beta_b) (l_b - l_a) of exchanging the walkers of two rungs.

    l is whatever beta multiplies in the log density of a rung: all of it, or the log likelihood alone where the prior
    is not tempered. It is the ratio of the products of both rungs' densities, after to before: what beta leaves alone
    is in both and cancels.
    """
    return (beta_a - beta_b) * (energy_b - energy_a)


def swap(key: jax.Array, round_: int | jax.Array, betas: jax.Array, energies: jax.Array) -> tuple[jax.Array, Swaps]:
    """One round of swaps of one ladder: (order [R], what happened). Exact.

    betas, energies: [R] by rung; energies are those of swap_log_ratio. order[r] is the rung whose walker rung r has
    afterwards: x[order] moves anything kept by rung. Pairs of a round are disjoint, so all are decided at once, each
    by its own uniform number; each exchange is its own inverse and preserves volume, so that the product of the rungs'
    densities is invariant. A ratio that is not finite is rejected and counted.
    Source: Geyer (1991), Computing Science and Statistics 23, 156-163; Hukushima and Nemoto (1996), Journal of the
    Physical Society of Japan 65, 1604-1608, after Swendsen and Wang (1986), Physical Review Letters 57, 2607-2609.
    """
    tried = pairs(round_, betas.shape[0])
    log_ratio = swap_log_ratio(betas[:-1], betas[1:], energies[:-1], energies[1:])
    accepted, info = decide(key, jnp.where(tried, log_ratio, 0.0))
    return exchanged(accepted & tried), Swaps(jnp.where(tried, info.acceptance_probability, 0.0), tried, info.nonfinite)


def exchanged(accepted: jax.Array) -> jax.Array:
    """The permutation of the rungs, [R], that exchanges the accepted pairs, bool [R - 1], no two of which touch."""
    step = accepted.astype(jnp.int32)
    return jnp.arange(step.shape[0] + 1) + jnp.pad(step, (0, 1)) - jnp.pad(step, (1, 0))
