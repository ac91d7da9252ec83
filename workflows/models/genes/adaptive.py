"""The law of the effects as all genes together show it, in place of the model's Student t: by weights on its draws.

A Student t cannot be that of genes of which nine in ten do nothing and the tenth changes twofold: it believes some of
the first to change. The law here is a mixture of normals about 0, one of which is as good as nothing, whose shares are
estimated from all genes (adaptive shrinkage: Stephens 2017, Biostatistics 18, 275-294). Small effects are commoner than
large ones in it, as in a t. The model's posterior is not sampled again: a draw counts by the ratio of the two laws at
its effect, which is exact but for the parameters that genes share, whose posterior stays that of the model.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from workflows.modelling.distributions.tapered_t import TaperedT
from workflows.models.genes.model import TAPER

NOTHING = 0.025
"""Standard deviation of the narrowest normal, of log2 fold changes: 2% either way."""
PENALTY = 10.0
"""Exponent of the share of that normal in its favour: of laws that explain the genes alike, the one with most of them
unchanged (Stephens 2017, lambda_0)."""
STEPS, ENOUGH = 5000, 1e-5
"""Steps of the fit at most, and the change of a share at which it ends."""
GENES = 2000
"""Looked at at once, which bounds the memory."""


class Law(NamedTuple):
    """sds, shares: [k] of normals about 0 whose mixture it is; of log2 fold changes."""

    sds: np.ndarray
    shares: np.ndarray

    def density(self, effects: np.ndarray) -> np.ndarray:
        """At log2 fold changes of any shape."""
        return np.asarray(np.tensordot(self.shares, _normals(effects, self.sds), 1))


def student(effects: np.ndarray, scale: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Density of the model's law of effects at log2 fold changes [draw, gene], given the draws [draw] of its scale and
    degrees of freedom, which are of natural logarithms."""
    law = TaperedT(jnp.asarray(freedom[:, None]), jnp.asarray(scale[:, None]), TAPER)
    return np.log(2.0) * np.exp(np.asarray(law.log_prob(np.log(2.0) * effects)))


def fitted(effects: np.ndarray, prior: np.ndarray) -> Law:
    """The law of largest likelihood, penalised, by the EM algorithm.

    effects: log2 fold changes [draw, gene] of a posterior; prior: density of the law under which they were drawn. The
    likelihood of gene g under a normal is, but for a factor, the mean over its draws of the normal's density over
    `prior`.
    """
    widest = max(np.abs(effects).max(), 2 * NOTHING)
    sds = NOTHING * 2.0 ** np.arange(np.ceil(np.log2(widest / NOTHING)) + 1)
    likelihood = _by_genes(lambda x, density: (_normals(x, sds) / density).mean(axis=1), effects, prior)
    shares = np.full(len(sds), 1.0 / len(sds))
    favoured = np.where(sds == NOTHING, PENALTY - 1.0, 0.0)
    for _ in range(STEPS):
        before, of = shares, shares[:, None] * likelihood
        counts = (of / of.sum(axis=0)).sum(axis=1) + favoured
        shares = counts / counts.sum()
        if np.abs(shares - before).max() < ENOUGH:
            break
    return Law(sds, shares)


def weights(law: Law, effects: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """[draw, gene] of the draws under `law`, 1 a gene in all."""
    ratios = _by_genes(lambda x, density: law.density(x) / density, effects, prior)
    return np.asarray(ratios / ratios.sum(axis=0))


def _by_genes(
    work: Callable[[np.ndarray, np.ndarray], np.ndarray], effects: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """[..., gene] of what is worked out for GENES genes at a time, in the last axis of all arrays."""
    starts = range(0, effects.shape[1], GENES)
    parts = [work(effects[:, start : start + GENES], prior[:, start : start + GENES]) for start in starts]
    return np.concatenate(parts, axis=1)


def _normals(effects: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """[k, ...] densities of normals about 0."""
    wide = sds.reshape(-1, *[1] * effects.ndim)
    return np.asarray(np.exp(-0.5 * (effects / wide) ** 2) / (np.sqrt(2.0 * np.pi) * wide))
