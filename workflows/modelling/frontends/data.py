"""Data of a model, told apart: arrays are traced arguments, settings that fix shapes or branches are compiled in."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ensemble.shard.platform import require_platform
from workflows.modelling.errors import ModelError
from workflows.modelling.model import Static


def traced_and_static(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Static]]:
    """({name: pytree of NumPy arrays}, {name: int, bool, text or None}).

    Python and NumPy integers, booleans, text and None are static, so that they can be sizes and switches. Everything
    else (arrays, floats, lists of numbers, nested containers of them) becomes arrays, which are never compiled in.
    Raises PlatformError where JAX has no device to compute on: front ends begin here.
    """
    require_platform()
    arrays: dict[str, Any] = {}
    static: dict[str, Static] = {}
    for name, value in data.items():
        if value is None or isinstance(value, (bool, int, str)):
            static[name] = value
        elif isinstance(value, (np.integer, np.bool_)):
            static[name] = value.item()
        else:
            arrays[name] = _arrays(name, value)
    return arrays, static


def _arrays(name: str, value: Any) -> Any:
    """NumPy arrays in the containers as given; a list of numbers is one array."""
    if isinstance(value, list):
        value = np.asarray(value)
    converted = jax.tree.map(_numbers, value)
    for leaf in jax.tree.leaves(converted):
        if leaf.dtype.kind not in "biufc":
            raise ModelError(f"data {name!r} holds values of type {leaf.dtype}: give numbers, or codes in their place")
    return converted


def _numbers(value: Any) -> np.ndarray:
    """One array; of objects that are all numbers or missing (pandas' nullable types), floats with NaN."""
    array = np.asarray(value)
    if array.dtype.kind != "O" or not hasattr(value, "isna"):
        return array
    missing = np.asarray(value.isna())
    if not all(isinstance(element, (int, float, np.number)) for element in array[~missing]):
        return array
    return np.where(missing, np.nan, np.where(missing, 0.0, array).astype(float))
