"""Checks of matrices of counts, samples by genes: zeros, spread and residual variance by how much a gene has."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position
from workflows.modelling.checks import Check, Family, in_classes, thirds

CLASSES = 10
"""Of genes by mean count, for zeros."""
THIRDS = ("low", "middle", "high")
SHARE, VARIANCE = 0.01, 0.1
"""What matters: of a share of counts; of a variance that is 1 under the model."""

Law = Callable[[Position, Data], tuple[jax.Array, jax.Array]]
"""(values of one draw, data) -> means [sample, gene] and dispersions [gene]."""


def count_checks(name: str, counts: np.ndarray, sizes: np.ndarray, law: Law) -> tuple[Check, ...]:
    """Checks of the observed variable `name`. counts: [sample, gene]; sizes: [sample] size factors."""
    levels = (counts / sizes[:, None]).mean(axis=0)
    return (_zeros(name, levels), _spread(name, levels, sizes), _residuals(name, levels, law))


def _zeros(name: str, levels: np.ndarray) -> Check:
    ranks = np.argsort(np.argsort(levels, kind="stable"), kind="stable")
    number = min(CLASSES, len(levels))
    classes = (number * ranks // len(levels)).astype(np.int32)
    labels = tuple(f"{levels[classes == k].min():.3g} to {levels[classes == k].max():.3g}" for k in range(number))
    family = Family(
        "zeros by mean count",
        labels,
        SHARE,
        share=True,
        about=f"Shares of counts that are 0, in {number} classes of equally many genes by mean count over size factor.",
    )

    def statistic(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        return in_classes(jnp.mean(outcomes[name] == 0, axis=0), classes, number)

    return Check(family, statistic)


def _spread(name: str, levels: np.ndarray, sizes: np.ndarray) -> Check:
    """How counts lie about the mean of their own gene: needs no parameter, so that no fitted value follows them."""
    third = thirds(levels)
    kinds = ("below half", "above twice")
    labels = tuple(f"{which} third, {kind}" for which in THIRDS for kind in kinds)
    family = Family(
        "counts about their gene's mean",
        labels,
        2 * SHARE,
        share=True,
        about="Shares of counts over size factors below half and above twice the mean of their gene, by third of "
        "genes by mean count.",
    )

    def statistic(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        scaled = outcomes[name] / sizes[:, None]
        mean = jnp.mean(scaled, axis=0)
        shares = [jnp.mean(scaled < 0.5 * mean, axis=0), jnp.mean(scaled > 2.0 * mean, axis=0)]
        return jnp.stack([in_classes(share, third, len(THIRDS)) for share in shares], axis=1).ravel()

    return Check(family, statistic)


def _residuals(name: str, levels: np.ndarray, law: Law) -> Check:
    third = thirds(levels)
    family = Family(
        "residual variance by mean count",
        tuple(f"{which} third" for which in THIRDS),
        VARIANCE,
        about="Mean squares of Pearson residuals, (y - mean)^2 / (mean + dispersion mean^2), by third of genes by mean "
        "count: 1 under the model.",
    )

    def statistic(outcomes: Mapping[str, jax.Array], values: Position, data: Data) -> jax.Array:
        mean, dispersion = law(values, data)
        square = (outcomes[name] - mean) ** 2 / (mean + dispersion * mean**2)
        return in_classes(jnp.mean(square, axis=0), third, len(THIRDS))

    return Check(family, statistic)
