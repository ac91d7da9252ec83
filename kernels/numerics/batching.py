"""Many replicas of one kernel: in one vectorised step while they fit into a core's cache, else one after another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

CACHED_COORDINATES = 20_000
"""Coordinates up to which replicas are vectorised together. Above, the arrays between the passes of a step would leave
the cache: two-dimensional blocks cost 77 ns a coordinate in four vectorised replicas of 200,000, 40 in turn."""


def over_replicas(function: Callable[..., Any], coordinates: int) -> Callable[..., Any]:
    """`function` of pytrees whose leaves have a leading axis of replicas. coordinates: of one replica in this step.

    An accelerator wants all the parallel work it can get: there it is always vectorised.
    """
    if coordinates <= CACHED_COORDINATES or jax.default_backend() != "cpu":
        return jax.vmap(function)
    return lambda *arguments: jax.lax.map(lambda one: function(*one), arguments)


def in_groups(function: Callable[..., Any], size: int) -> Callable[..., Any]:
    """`function` of pytrees whose leaves have a leading axis of replicas, and so its results, `size` of them at a time.

    For steps that replicas take in lock-step: those of a group wait for the longest of the group alone, and what they
    carry stays in a core's cache. On an accelerator all go together.
    """

    def grouped(*arguments: Any) -> Any:
        count = jax.tree.leaves(arguments)[0].shape[0]
        if count <= size or jax.default_backend() != "cpu":
            return function(*arguments)
        whole = count - count % size
        stacked = jax.tree.map(lambda x: x[:whole].reshape(-1, size, *x.shape[1:]), arguments)
        found = jax.lax.map(lambda group: function(*group), stacked)
        found = jax.tree.map(lambda x: x.reshape(whole, *x.shape[2:]), found)
        if whole == count:
            return found
        rest = function(*jax.tree.map(lambda x: x[whole:], arguments))
        return jax.tree.map(lambda one, other: jnp.concatenate([one, other]), found, rest)

    return grouped
