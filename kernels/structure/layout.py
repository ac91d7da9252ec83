"""Where the coordinates of a level's sites lie in its [p, B] array of blocks: dims first, blocks contiguous."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from kernels.types import Position


@dataclass(frozen=True, eq=False)
class BlockLayout(ABC):
    """The shapes of some sites, by name and in order, and the sizes [B] of their blocks."""

    shapes: Mapping[str, tuple[int, ...]]
    sizes: np.ndarray

    @abstractmethod
    def gather(self, position: Position) -> jax.Array:
        """The sites as blocks [p, B], padded with 0."""

    @abstractmethod
    def scatter(self, position: Position, blocks: jax.Array) -> Position:
        """`position` with these sites taken from the blocks [p, B]."""


class Regular(BlockLayout):
    """Block b is index b of the leading axes of every site."""

    def gather(self, position: Position) -> jax.Array:
        rows = [jnp.reshape(position[name], (self.sizes.size, -1)).T for name in self.shapes]
        return rows[0] if len(rows) == 1 else jnp.concatenate(rows)

    def scatter(self, position: Position, blocks: jax.Array) -> Position:
        replaced, start = dict(position), 0
        for name, shape in self.shapes.items():
            width = int(np.prod(shape)) // self.sizes.size
            replaced[name] = jnp.reshape(blocks[start : start + width].T, shape)
            start += width
        return replaced


@dataclass(frozen=True, eq=False)
class Irregular(BlockLayout):
    """Any assignment of coordinates to blocks.

    index: [p, B] into the concatenated coordinates, their number for padding.
    inverse: coordinate -> flat place in [p, B].
    """

    index: np.ndarray
    inverse: np.ndarray

    def gather(self, position: Position) -> jax.Array:
        flat = jnp.concatenate([jnp.reshape(position[name], (-1,)) for name in self.shapes])
        return flat[:, None] if self.sizes.size == 1 else flat.at[self.index].get(mode="fill", fill_value=0)

    def scatter(self, position: Position, blocks: jax.Array) -> Position:
        flat = jnp.reshape(blocks, (-1,))
        flat = flat if self.sizes.size == 1 else flat[self.inverse]
        replaced, start = dict(position), 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            replaced[name] = jnp.reshape(flat[start : start + size], shape)
            start += size
        return replaced


def layout(shapes: Mapping[str, tuple[int, ...]], block_of: Mapping[str, np.ndarray]) -> BlockLayout:
    """The layout of these sites, given the block of each coordinate (arrays of the sites' shapes, 0 .. B - 1)."""
    owners = np.concatenate([block_of[name].ravel() for name in shapes])
    sizes = np.bincount(owners)
    if all(_leading(block_of[name], sizes.size) for name in shapes):
        return Regular(shapes, sizes)
    order = np.argsort(owners, kind="stable")
    starts = np.cumsum(sizes) - sizes
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size) - np.repeat(starts, sizes)
    index = np.full((int(sizes.max()), sizes.size), owners.size, np.int32)
    index[rank, owners] = np.arange(owners.size)
    return Irregular(shapes, sizes, index, (rank * sizes.size + owners).astype(np.int32))


def _leading(block_of: np.ndarray, blocks: int) -> bool:
    """Whether the coordinates come block by block, as many for each."""
    flat = block_of.ravel()
    return flat.size % blocks == 0 and bool(np.array_equal(flat, np.repeat(np.arange(blocks), flat.size // blocks)))
