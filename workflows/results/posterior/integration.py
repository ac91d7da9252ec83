"""Pointwise likelihoods with a latent of a single observation integrated out, where conditional ones mislead LOO.

A person's own latent follows that person's one count so closely that leaving the count out changes its posterior
beyond what importance sampling can mend (the shape k of PSIS is above .7). Given the shared parameters, what counts is

    p(y_i | theta) = integral p(y_i | x) p(x | theta) dx,

by the trapezoidal rule on NODES points that span REACH posterior standard deviations of x_i on each side of its mean:
for smooth integrands it converges faster than any power (Trefethen and Weideman 2014, SIAM Review 56, 385-458). Source
of the remedy: Vehtari, Mononen, Tolvanen, Sivula and Winther 2016, JMLR 17, section 3.6.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.state import LevelView
from kernels.structure.levels import Level, Structure
from kernels.target import Target
from kernels.types import Data, Position

NODES = 81
REACH = 10.0


class Single(NamedTuple):
    """A level whose blocks are one coordinate each and meet one observation at most. term: the likelihood term that
    they meet; block: the block of each of its elements, -1 for none, of the term's shape."""

    level: Level
    term: str
    block: np.ndarray


def singles(target: Target, structure: Structure) -> dict[str, Single]:
    """The levels that can be integrated out, by the likelihood term that they touch."""
    found = {}
    for level in structure.levels:
        terms = [name for name in level.terms if target.term_kinds[name] == "likelihood"]
        if not level.leaf or level.width != 1 or level.n_blocks == 1 or len(terms) != 1:
            continue
        block = _blocks(structure, level, terms[0])
        if np.bincount(block[block >= 0], minlength=1).max() == 1:
            found[terms[0]] = Single(level, terms[0], block)
    return found


def _blocks(structure: Structure, level: Level, term: str) -> np.ndarray:
    """The block of the level that each element of a term belongs to, -1 for none."""
    cells = structure.cells[term]
    blocks: np.ndarray = level.owners[term].owner[cells.owner].reshape(cells.shape)
    return blocks


def integrated(
    target: Target, structure: Structure, single: Single, mean: jax.Array, sd: jax.Array
) -> Callable[[Position, Data], jax.Array]:
    """log p(y_i | the other levels) as a function of a position, of the term's shape; elements of no block keep their
    own log probability. mean, sd: of the level's coordinates over the posterior, [B].
    """
    view = LevelView(target, structure, single.level)
    nodes = jnp.linspace(-REACH, REACH, NODES)
    block = jnp.asarray(np.maximum(single.block, 0))
    priors = [name for name in single.level.terms if name != single.term]

    def log_likelihood(position: Position, data: Data) -> jax.Array:
        def at(node: jax.Array) -> tuple[jax.Array, jax.Array]:
            moved = single.level.scatter(position, (mean + sd * node)[None])
            cells = view.cells_at(moved, data)
            prior = sum((single.level.owners[n].sum(cells[n]) for n in priors), jnp.zeros(single.level.n_blocks))
            return prior, target.log_terms(moved, data)[single.term]

        prior, likelihood = jax.lax.map(at, nodes)
        weight = jnp.log(sd * (nodes[1] - nodes[0]))
        total = jax.nn.logsumexp(prior[:, block] + likelihood, axis=0) + weight[block]
        return jnp.where(single.block >= 0, total, likelihood[0])

    return log_likelihood
