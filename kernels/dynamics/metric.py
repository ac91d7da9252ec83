"""Factors L of covariances L L' of the blocks of a level: dense, diagonal, or low rank and diagonal.

A factor is [p, p, B] (row, column, block), [p, B] (diagonal), LowRank, or Leading. A dense factor of a narrow block is
a lower triangle. In units of L the target looks round: a metric for trajectories and the shape of a random walk alike.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

WIDEST_DENSE = 16
"""Widest block whose covariance is kept whole by default: its cost grows with p^2 a block."""


class LowRank(NamedTuple):
    """L = diag(scale) (I + U diag(stretch - 1) U') of a single block: scale [p, 1], U = basis [p, k] with orthonormal
    columns, stretch [k] > 0. The covariance is the diagonal but for k directions, whose sd it stretches."""

    scale: jax.Array | np.ndarray
    basis: jax.Array | np.ndarray
    stretch: jax.Array | np.ndarray


class Leading(NamedTuple):
    """L = diag(factor, I): a factor of the first coordinates of every block, 1 for all others."""

    factor: jax.Array | np.ndarray | LowRank

    @property
    def width(self) -> int:
        """How many coordinates of a block the factor is of."""
        return (self.factor.scale if isinstance(self.factor, LowRank) else self.factor).shape[0]


Factor = jax.Array | np.ndarray | LowRank | Leading


def multiply(factor: Factor, vectors: jax.Array) -> jax.Array:
    """L z for each block; vectors [p, B]."""
    if isinstance(factor, Leading):
        first = factor.width
        return jnp.concatenate([multiply(factor.factor, vectors[:first]), vectors[first:]])
    if isinstance(factor, LowRank):
        along = factor.basis.T @ vectors
        return jnp.asarray(factor.scale) * (vectors + factor.basis @ ((factor.stretch - 1.0)[:, None] * along))
    if factor.ndim == 2:
        return jnp.asarray(factor) * vectors
    width = factor.shape[0]
    if width > WIDEST_DENSE:
        return (
            jnp.einsum("ijb,jb->ib", factor, vectors) if factor.shape[2] > 1 else jnp.asarray(factor)[:, :, 0] @ vectors
        )
    return jnp.stack([sum(factor[i, j] * vectors[j] for j in range(i + 1)) for i in range(width)])


def multiply_transposed(factor: Factor, vectors: jax.Array) -> jax.Array:
    """L' v for each block: gradients in units of L; vectors [p, B]."""
    if isinstance(factor, Leading):
        first = factor.width
        return jnp.concatenate([multiply_transposed(factor.factor, vectors[:first]), vectors[first:]])
    if isinstance(factor, LowRank):
        scaled = jnp.asarray(factor.scale) * vectors
        return scaled + factor.basis @ ((factor.stretch - 1.0)[:, None] * (factor.basis.T @ scaled))
    return jnp.asarray(factor) * vectors if factor.ndim == 2 else jnp.einsum("jib,jb->ib", factor, vectors)


def solve(factor: jax.Array, vectors: jax.Array) -> jax.Array:
    """L^-1 x for each block, of a diagonal factor or a lower triangle, by substitution; vectors [p, B]."""
    return vectors / factor if factor.ndim == 2 else jnp.stack(_substituted(factor, vectors))


def squared_norm(factor: jax.Array, vectors: jax.Array) -> jax.Array:
    """|L^-1 x|^2 of each block, [B]; vectors [p, B]."""
    if factor.ndim == 2:
        return jnp.sum((vectors / factor) ** 2, axis=0)
    # Not the sum of a stack, whose rows the compiler computes one after another, each with all those before it.
    return sum((row**2 for row in _substituted(factor, vectors)), start=jnp.zeros(()))


def _substituted(factor: jax.Array, vectors: jax.Array) -> list[jax.Array]:
    """The rows of L^-1 x, [B] each."""
    solved: list[jax.Array] = []
    for i in range(factor.shape[0]):
        rest = vectors[i] - sum((factor[i, j] * solved[j] for j in range(i)), start=jnp.zeros(()))
        solved.append(rest / factor[i, i])
    return solved


def cholesky(matrices: jax.Array) -> jax.Array:
    """Lower factors of [p, p, B], NaN where a matrix is not positive definite; unrolled, for narrow blocks."""
    width = len(matrices)
    rows: list[list[jax.Array]] = [[] for _ in range(width)]
    for i in range(width):
        for j in range(i + 1):
            rest = matrices[i, j] - sum((rows[i][k] * rows[j][k] for k in range(j)), start=jnp.zeros(()))
            rows[i].append(jnp.sqrt(rest) if i == j else rest / rows[j][j])
    nothing = jnp.zeros(matrices.shape[2])
    return jnp.stack([jnp.stack(row + [nothing] * (width - len(row))) for row in rows])


def solve_transposed(factor: jax.Array, vectors: jax.Array) -> jax.Array:
    """L'^-1 x for each block, of a lower triangle, by substitution; vectors [p, B]."""
    width = len(vectors)
    solved: dict[int, jax.Array] = {}
    for i in reversed(range(width)):
        rest = vectors[i] - sum((factor[j, i] * solved[j] for j in range(i + 1, width)), start=jnp.zeros(()))
        solved[i] = rest / factor[i, i]
    return jnp.stack([solved[i] for i in range(width)])
