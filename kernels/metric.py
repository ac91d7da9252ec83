"""Block-diagonal factors L of covariances: dense triangles for narrow blocks, diagonals for wide ones.

A factor is [p, p, B] (row, column, block; lower triangle) or [p, B] (diagonal).
"""

import jax
import jax.numpy as jnp

WIDEST_DENSE = 16
"""Widest block whose covariance is kept whole: its cost grows with p^2 a block."""


def multiply(factor: jax.Array, vectors: jax.Array) -> jax.Array:
    """L z for each block; vectors [p, B]."""
    if factor.ndim == 2:
        return factor * vectors
    width = factor.shape[0]
    return jnp.stack([sum(factor[i, j] * vectors[j] for j in range(i + 1)) for i in range(width)])


def solve(factor: jax.Array, vectors: jax.Array) -> jax.Array:
    """L^-1 x for each block by forward substitution; vectors [p, B]."""
    if factor.ndim == 2:
        return vectors / factor
    solved: list[jax.Array] = []
    for i in range(factor.shape[0]):
        rest = vectors[i] - sum((factor[i, j] * solved[j] for j in range(i)), start=jnp.zeros(()))
        solved.append(rest / factor[i, i])
    return jnp.stack(solved)
