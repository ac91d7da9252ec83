"""Sums of the elements of an array into groups, and the way back, always in the same order and without scatter-add."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

PADDING_LIMIT = 2.0
"""A padded index holds at most this many entries for each element that it sums."""


@dataclass(frozen=True, eq=False)
class Segments(ABC):
    """Which of n groups each element of an array of a given shape belongs to.

    owner: flat element -> group, int32 [size], -1 for an element in no group. Compared and hashed by identity.
    """

    owner: np.ndarray
    n: int
    shape: tuple[int, ...]

    @abstractmethod
    def sum(self, values: jax.Array) -> jax.Array:
        """Sum of each group's elements: `shape` -> [n]; 0 for a group without elements."""

    @abstractmethod
    def spread(self, groups: jax.Array, fill: jax.Array | float | bool) -> jax.Array:
        """Each element's group value: [n] -> `shape`, `fill` where the element is in no group."""


class Identity(Segments):
    """The elements are the groups, in order."""

    def sum(self, values: jax.Array) -> jax.Array:
        return jnp.reshape(values, (self.n,))

    def spread(self, groups: jax.Array, fill: jax.Array | float | bool) -> jax.Array:
        return jnp.reshape(groups, self.shape)


@dataclass(frozen=True, eq=False)
class SingleGroup(Segments):
    """All elements are in one group, number `group`."""

    group: int = 0

    def sum(self, values: jax.Array) -> jax.Array:
        total = jnp.reshape(jnp.sum(values), (1,))
        return total if self.n == 1 else jnp.where(np.arange(self.n) == self.group, total, 0)

    def spread(self, groups: jax.Array, fill: jax.Array | float | bool) -> jax.Array:
        return jnp.broadcast_to(groups[self.group], self.shape)


@dataclass(frozen=True, eq=False)
class Axes(Segments):
    """The group is the same along the axes `summed`; the remaining axes enumerate the groups in order."""

    summed: tuple[int, ...]

    def sum(self, values: jax.Array) -> jax.Array:
        return jnp.reshape(jnp.sum(values, axis=self.summed), (self.n,))

    def spread(self, groups: jax.Array, fill: jax.Array | float | bool) -> jax.Array:
        kept = tuple(1 if axis in self.summed else length for axis, length in enumerate(self.shape))
        return jnp.broadcast_to(jnp.reshape(groups, kept), self.shape)


class Padded(Segments):
    """Any grouping: gather with a padded index, then sum. Groups of like size share an index, to pad little.

    An index of a bucket is [largest size, groups of the bucket]; an entry equal to the number of elements is padding
    and contributes exactly 0 whatever the values are.
    """

    @cached_property
    def buckets(self) -> tuple[np.ndarray, ...]:
        """Padded indices, one a bucket, smallest groups first."""
        sizes = np.bincount(self.owner[self.owner >= 0], minlength=self.n)
        members = np.argsort(self.owner, kind="stable")[np.sum(self.owner < 0) :]
        starts = np.cumsum(sizes) - sizes
        return tuple(_padded_index(members, starts[part], sizes[part], self.owner.size) for part in _buckets(sizes))

    @cached_property
    def position(self) -> np.ndarray | None:
        """Where each group comes out of the buckets, [n]; None where they come out in order."""
        sizes = np.bincount(self.owner[self.owner >= 0], minlength=self.n)
        order = np.concatenate([*_buckets(sizes), np.zeros(0, np.int64)]).astype(np.int32)
        return None if np.array_equal(order, np.arange(self.n)) else np.argsort(order).astype(np.int32)

    def sum(self, values: jax.Array) -> jax.Array:
        flat = jnp.reshape(values, (-1,))
        if self.n == 0 or self.owner.size == 0:
            return jnp.zeros(self.n, flat.dtype)
        sums = [jnp.sum(flat.at[index].get(mode="fill", fill_value=0), axis=0) for index in self.buckets]
        joined = sums[0] if len(sums) == 1 else jnp.concatenate(sums)
        return joined if self.position is None else joined[self.position]

    def spread(self, groups: jax.Array, fill: jax.Array | float | bool) -> jax.Array:
        outside = self.owner < 0
        if outside.all():
            return jnp.full(self.shape, fill, groups.dtype)
        values = groups[np.where(outside, 0, self.owner)]
        if outside.any():
            values = jnp.where(outside, jnp.asarray(fill, groups.dtype), values)
        return jnp.reshape(values, self.shape)


def segments(owner: np.ndarray, n: int) -> Segments:
    """The cheapest kind that represents `owner`, an integer array of the elements' shape with values -1 .. n - 1."""
    owner = np.asarray(owner, np.int32)
    if owner.size and (owner.min() < -1 or owner.max() >= n):
        raise ValueError(f"owners lie between {owner.min()} and {owner.max()}; allowed are -1 (none) to {n - 1}")
    flat, shape = owner.ravel(), owner.shape
    if _is_range(flat, n):
        return Identity(flat, n, shape)
    if owner.size and flat[0] >= 0 and (flat == flat[0]).all():
        return SingleGroup(flat, n, shape, int(flat[0]))
    summed = _constant_axes(owner)
    first = owner[tuple(slice(0, 1) if axis in summed else slice(None) for axis in range(owner.ndim))]
    if summed and owner.size and _is_range(first.ravel(), n):
        return Axes(flat, n, shape, summed)
    return Padded(flat, n, shape)


def _is_range(flat: np.ndarray, n: int) -> bool:
    return flat.size == n and bool(np.array_equal(flat, np.arange(n)))


def _constant_axes(owner: np.ndarray) -> tuple[int, ...]:
    """Axes along which the owner never changes."""
    if owner.size == 0:
        return ()
    return tuple(axis for axis in range(owner.ndim) if bool((owner == owner.take([0], axis)).all()))


def _buckets(sizes: np.ndarray) -> list[np.ndarray]:
    """Groups by bucket: classes by powers of two, merged as long as the padding stays within its limit."""
    classes = np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64) + (sizes > 0)
    parts = [np.flatnonzero(classes == label) for label in np.unique(classes)]
    limit = PADDING_LIMIT * max(int(sizes.sum()), 1)
    while len(parts) > 1:
        merges = [[*parts[:i], np.union1d(parts[i], parts[i + 1]), *parts[i + 2 :]] for i in range(len(parts) - 1)]
        best = min(merges, key=lambda merge: _entries(merge, sizes))
        if _entries(best, sizes) > limit:
            break
        parts = best
    return parts


def _entries(parts: list[np.ndarray], sizes: np.ndarray) -> int:
    """Entries of the padded indices of these buckets."""
    return sum(int(part.size * sizes[part].max()) for part in parts)


def _padded_index(members: np.ndarray, starts: np.ndarray, sizes: np.ndarray, padding: int) -> np.ndarray:
    """Index [largest size, groups] into the elements; `members` lists the elements group by group."""
    rank = np.arange(int(sizes.max()))[:, None]
    places = np.minimum(starts + rank, max(members.size - 1, 0))
    return np.where(rank < sizes, members[places] if members.size else padding, padding).astype(np.int32)
