"""Pytrees as flat dictionaries of NumPy arrays and back: the form that travels and is stored."""

from typing import Any, TypeVar

import jax
import numpy as np

from ensemble.protocol.plans import Arrays

Tree = TypeVar("Tree")


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def flatten(tree: Any) -> Arrays:
    """{"path/to/leaf": array} of a pytree, in its own order."""
    return {_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def unflatten(template: Tree, arrays: Arrays, prefix: str = "") -> Tree:
    """The pytree of `template`'s structure with the leaves that `flatten` named."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)
    rebuilt: Tree = jax.tree_util.tree_unflatten(structure, [arrays[prefix + _name(path)] for path, _ in leaves])
    return rebuilt


def prefixed(prefix: str, arrays: Arrays) -> Arrays:
    """The same arrays, each name with `prefix/` before it."""
    return {f"{prefix}/{name}": value for name, value in arrays.items()}


def under(prefix: str, arrays: Arrays) -> Arrays:
    """The arrays named `prefix/...`, without that part of the name."""
    start = prefix + "/"
    return {name[len(start) :]: value for name, value in arrays.items() if name.startswith(start)}
