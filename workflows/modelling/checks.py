"""What a model says of its own fit: statistics of data, which draws of the posterior predict and the data have.

A check is a statistic T(outcomes, values): of outcomes, observed or predicted, and of the values of one draw, an array
of k numbers that are judged together. Where T depends on the values (residuals), it should be standardised, so that its
law under the model hardly depends on them. `workflows.results.fit` computes and judges.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Data, Position

Statistic = Callable[[Mapping[str, jax.Array], Position, Data], jax.Array]
"""(outcomes by observed variable, values of one draw by the names of the store, data) -> [k]."""
Replicate = Callable[[jax.Array, Position, Data], Position]
"""(key, values of one draw, data) -> outcomes by observed variable."""


@dataclass(frozen=True)
class Family:
    """k statistics that are judged together.

    name: what they are, in the plural or as a whole. labels: [k] what each is of. matters: differences below it are of
    no consequence, in the units of the statistic; a number or [k]. share: whether they are shares of a whole, told in
    per cent. side: [k] or a number: 0 where any difference counts, 1 where only what is above its prediction does,
    -1 below. about: a sentence on what they are, for readers. ordered: whether the labels have an order along an axis.
    """

    name: str
    labels: tuple[str, ...]
    matters: float | np.ndarray
    share: bool = False
    side: int | np.ndarray = 0
    about: str = ""
    ordered: bool = field(default=False)


class Check(NamedTuple):
    """A family and the statistic [k] that computes it, by JAX; replicate: what predicts outcomes for it, such as those
    of new members of a group; the model's own predictions where None."""

    family: Family
    statistic: Statistic
    replicate: Replicate | None = None


def in_classes(values: jax.Array, classes: jax.Array | np.ndarray, number: int) -> jax.Array:
    """Means [number] of values [n] in each of so many classes [n]; NaN for a class without members."""
    total = jnp.zeros(number).at[classes].add(values.astype(jnp.float64))
    return total / jnp.zeros(number).at[classes].add(1.0)


def thirds(levels: np.ndarray) -> np.ndarray:
    """[n] 0, 1, 2: to which third of the values [n] each belongs; the thirds are as equal in size as can be."""
    ranks = np.argsort(np.argsort(levels, kind="stable"), kind="stable")
    return (3 * ranks // max(1, len(levels))).astype(np.int32)


def autocorrelations(series: jax.Array, lags: int) -> jax.Array:
    """Autocorrelations [lags] of a series [n, ...] of mean 0 along its first axis, averaged over the others."""
    square = jnp.sum(series**2, axis=0)
    return jnp.stack([jnp.mean(jnp.sum(series[lag:] * series[:-lag], axis=0) / square) for lag in range(1, lags + 1)])
